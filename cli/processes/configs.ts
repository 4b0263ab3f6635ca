import { z } from 'zod';

/** What the supervisor tells each process of its own part; checked by the process itself. */
const bounds = z.strictObject({
  min: z.number().optional(),
  max: z.number().optional(),
  enum: z.array(z.union([z.string(), z.number(), z.boolean()])).optional(),
});
const tool = z.strictObject({ highRisk: z.boolean(), arguments: z.record(z.string(), bounds) });

export const agentConfigSchema = z.strictObject({
  /** The role's own keys of the swarm file. */
  role: z.unknown(),
  consumes: z.array(z.string()),
  /** Message kind → SPIFFE IDs of those who get it. */
  receivers: z.record(z.string(), z.array(z.string())),
  models: z.array(z.string()),
  /** Its granted tools as a model is offered them; `parameters` is JSON Schema. */
  tools: z.array(
    z.strictObject({
      name: z.string(),
      description: z.string(),
      parameters: z.record(z.string(), z.unknown()),
    }),
  ),
});
export type AgentConfig = z.infer<typeof agentConfigSchema>;

export const serviceConfigSchema = z.strictObject({
  /** The service's own keys of the swarm file. */
  service: z.unknown(),
  models: z.array(z.string()),
  collections: z.array(z.string()),
  tools: z.record(z.string(), tool),
  /** Absolute path of the service's own database. */
  database: z.string(),
  /** Absolute path of the socket on which city works are observed. */
  observe: z.string(),
});
export type ServiceConfig = z.infer<typeof serviceConfigSchema>;

export const issuerConfigSchema = z.strictObject({
  /** Absolute path of the issuer's own folder. */
  stateDir: z.string(),
  /** Its callers have other uids than it has: each is known by its own. */
  sharedSocket: z.boolean().default(false),
  /** SPKI, base64: verifies the launcher's attestations. */
  launcherKey: z.string(),
  /** Key id → SPKI, base64: verifies image signatures. */
  ciKeys: z.record(z.string(), z.string()),
  /** SPIFFE IDs that the launcher may have certified over its own keys. */
  mintable: z.array(z.string()),
});
export type IssuerConfig = z.infer<typeof issuerConfigSchema>;

export const witnessConfigSchema = z.strictObject({
  /** Name of its key in cosignatures. */
  keyName: z.string(),
  /** Absolute path of the witness's own folder. */
  folder: z.string(),
  /** Absolute path of the socket on which it serves. */
  socket: z.string(),
  /** The log that it watches, and the verifier keys of that log. */
  origin: z.string(),
  logKeys: z.array(z.string()),
  /** Its own verifier key, where others have pinned it. */
  pinned: z.string().optional(),
});
export type WitnessConfig = z.infer<typeof witnessConfigSchema>;

export const ledgerConfigSchema = z.strictObject({
  /** Whom it asks to cosign, and where. */
  witnesses: z.array(z.strictObject({ name: z.string(), socket: z.string() })),
  /** Every key that this log has had: under one of them its stored checkpoints are signed. */
  logKeys: z.array(z.string()),
  /** Changes of its keys, signed notes: it enters them where it has not yet. */
  rollovers: z.array(z.string()),
});
export type LedgerConfig = z.infer<typeof ledgerConfigSchema>;
