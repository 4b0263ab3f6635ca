import { z } from 'zod';
import { parseSpiffeId } from '#identity/spiffe-id.ts';

/** Lower case, because a name becomes a segment of a NATS subject and of a SPIFFE ID. */
const NAME = /^[a-z0-9](?:[a-z0-9_-]{0,46}[a-z0-9])?$/;
const TOOL = /^[a-z0-9_-]+(?:\.[a-z0-9_-]+)*$/;
const DURATION = /^([1-9][0-9]{0,6})(s|m|h)$/;
const SECONDS = { s: 1, m: 60, h: 3600 } as const;

/** The issuer's limits: below 10 s clocks and renewals have no room, above 24 h revocation means nothing. */
const MIN_TTL_SECONDS = 10;
const MAX_TTL_SECONDS = 86_400;

const name = z
  .string()
  .regex(NAME, '1 to 48 of a-z, 0-9, "-" and "_" (no ".", "*", ">", spaces or capitals)');
const names = z.array(name);
const toolName = z
  .string()
  .regex(TOOL, 'words of a-z, 0-9, "-" and "_" joined by ".", for example valve.set');

const ttl = z.string().transform((text, context): number => {
  const match = DURATION.exec(text);
  const unit = match?.[2] as keyof typeof SECONDS | undefined;
  const seconds = match === null || unit === undefined ? 0 : Number(match[1]) * SECONDS[unit];
  if (seconds < MIN_TTL_SECONDS || seconds > MAX_TTL_SECONDS) {
    context.addIssue({ code: 'custom', message: 'a duration from 10s to 24h, such as 20s or 5m' });
    return z.NEVER;
  }
  return seconds;
});

const trustDomain = z
  .string()
  .refine((text) => !text.includes('/') && parseSpiffeId(`spiffe://${text}`).ok, {
    error: 'a trust domain: 1 to 255 of a-z, 0-9, ".", "-" and "_", such as city.example',
  });

const budget = z.strictObject({
  callsPerMinute: z.int().positive().optional(),
  tokensPerHour: z.int().positive().optional(),
});

const role = z.strictObject({
  publish: names.default([]),
  consume: names.default([]),
  services: names.default([]),
  models: z.array(z.string().min(1)).default([]),
  train: z.array(z.string().min(1)).default([]),
  collections: z.record(name, z.array(z.enum(['read', 'write'])).min(1)).default({}),
  tools: z.array(toolName).default([]),
  budget: budget.default({}),
});

/** What every agent has; the keys beside these belong to the role's own schema. */
const agent = z.looseObject({ role: name, district: name, name });
export const AGENT_KEYS = ['role', 'district', 'name'] as const;

const collections = z.union(
  [names, z.record(name, z.strictObject({ district: name.nullable().default(null) }))],
  { error: 'a list of names, or a map such as { runbooks: {}, incidents: { district: north } }' },
);

/** What every service may have; the keys beside these belong to the service's own schema. */
const service = z.looseObject({
  services: names.default([]),
  models: z.array(z.string().min(1)).default([]),
  collections: collections.default([]),
});
export const SERVICE_KEYS = ['services', 'models', 'collections'] as const;

/** The policy lets an argument pass that is in `enum`, or a number from `min` to `max`. */
const argument = z
  .strictObject({
    min: z.number().optional(),
    max: z.number().optional(),
    enum: z
      .array(z.union([z.string(), z.number(), z.boolean()]))
      .min(1)
      .optional(),
  })
  .refine(
    ({ min, max, enum: values }) =>
      values === undefined
        ? min !== undefined && max !== undefined && min <= max
        : min === undefined && max === undefined,
    { error: 'either { min, max } with min no greater than max, or { enum: [...] }' },
  );

const tool = z.strictObject({
  highRisk: z.boolean().default(false),
  arguments: z.record(z.string(), argument).default({}),
});

/** `swarms/*.yaml`, version `swarmproof/v1`, without the parts that roles and services own. */
export const swarmFileSchema = z.strictObject({
  apiVersion: z.literal('swarmproof/v1'),
  name,
  trustDomain,
  svidTtl: ttl.default(20),
  roles: z.record(name, role),
  agents: z.array(agent).min(1),
  services: z.record(name, service).default({}),
  tools: z.record(toolName, tool).default({}),
});

/** A parsed swarm file; `svidTtl` in seconds. */
export type SwarmFile = z.output<typeof swarmFileSchema>;
export type SwarmRole = SwarmFile['roles'][string];

/** Schemas of what a role's agents and a service take beside the common keys, by name. */
export interface SwarmSchemas {
  readonly roles: Readonly<Record<string, z.ZodType>>;
  readonly services: Readonly<Record<string, z.ZodType>>;
}
