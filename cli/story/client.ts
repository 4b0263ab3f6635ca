import { z } from 'zod';
import { decodeEntry, type LedgerEntry } from '#custody/ledger/entry.ts';
import type { RecordId } from '#custody/record.ts';
import type { EvidenceRecord } from '#custody/verify.ts';
import { bundleFromCertificates } from '#identity/bundle.ts';
import { parseSpiffeId, type SpiffeId } from '#identity/spiffe-id.ts';
import type { BundleSet, X509Bundle } from '#identity/svid.ts';
import type { RuleLocation } from '#policy/compile.ts';
import { askControl, type ControlAddress } from '#runtime/control/client.ts';
import { UserError } from '../output.ts';
import { evidenceFrom } from '../wiring/evidence-json.ts';
import type { EntryKind } from './entries.ts';

/** Under which roots, for which members, and with which rules a command judges. */
export interface SwarmTrust {
  readonly bundles: BundleSet;
  readonly members: readonly SpiffeId[];
  readonly rules: Readonly<Record<string, RuleLocation>>;
}

export interface ListQuery {
  readonly kind?: EntryKind;
  readonly limit?: number;
}

/** A running swarm as commands read it. Every method throws `UserError` when the swarm is gone. */
export interface SwarmClient {
  /** The newest entries of a kind, oldest of them first. */
  newest(query: ListQuery): Promise<readonly LedgerEntry[]>;
  /** Ids of records that start so; more than one: ambiguous. */
  find(prefix: string): Promise<readonly RecordId[]>;
  entry(index: number): Promise<LedgerEntry | undefined>;
  record(id: RecordId): Promise<LedgerEntry | undefined>;
  /** The records that name this one as a cause. */
  children(id: RecordId): Promise<readonly LedgerEntry[]>;
  ancestry(id: RecordId, limit?: number): Promise<readonly EvidenceRecord[]>;
  trust(): Promise<SwarmTrust>;
}

const evidence = z.object({
  id: z.string(),
  jws: z.string(),
  salt: z.string(),
  payload: z.string().optional(),
  chain: z.array(z.string()),
  at: z.number().optional(),
});
const found = z.object({ ids: z.array(z.string()) });
const trusted = z.object({
  members: z.array(z.string()),
  bundles: z.record(z.string(), z.array(z.string())),
  rules: z.record(z.string(), z.object({ file: z.string(), line: z.number(), title: z.string() })),
});

function as<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new UserError('the swarm answered in another form: was it started by another version?');
}

export function swarmClient(address: ControlAddress): SwarmClient {
  async function ask(
    verb: string,
    args: Readonly<Record<string, unknown>>,
    part?: (value: unknown) => void,
  ): Promise<unknown> {
    const answer = await askControl(address, verb, args, part);
    if (!answer.ok) throw new UserError(answer.detail);
    return answer.value;
  }

  /** Parts are judged when all are there: who throws in the socket's callback ends the process. */
  async function parts(verb: string, args: Readonly<Record<string, unknown>>): Promise<unknown[]> {
    const list: unknown[] = [];
    await ask(verb, args, (value) => list.push(value));
    return list;
  }

  async function entries(
    verb: string,
    args: Readonly<Record<string, unknown>>,
  ): Promise<LedgerEntry[]> {
    return (await parts(verb, args)).map((text) => {
      const entry = decodeEntry(Buffer.from(String(text), 'utf8'));
      if (!entry.ok) throw new UserError(`the swarm sent an entry that is none: ${entry.detail}`);
      return entry.value;
    });
  }

  return {
    newest: (query) => entries('list', { ...query, newest: true }),
    find: async (prefix) => as(found, await ask('find', { id: prefix })).ids as RecordId[],
    entry: async (index) => (await entries('list', { since: index, limit: 1 }))[0],
    record: async (id) => (await entries('record', { id }))[0],
    children: (id) => entries('children', { id }),
    ancestry: async (id, limit) => {
      const given = await parts('ancestry', { id, ...(limit !== undefined && { limit }) });
      return given.map((value) => {
        const { payload, at, ...rest } = as(evidence, value);
        return evidenceFrom({
          ...rest,
          ...(payload !== undefined && { payload }),
          ...(at !== undefined && { at }),
        });
      });
    },
    trust: async () => {
      const { members, bundles, rules } = as(trusted, await ask('trust', {}));
      const set = new Map<string, X509Bundle>();
      for (const [domain, authorities] of Object.entries(bundles)) {
        const bundle = bundleFromCertificates(
          domain,
          authorities.map((der) => new Uint8Array(Buffer.from(der, 'base64'))),
        );
        if (!bundle.ok) throw new UserError(bundle.detail);
        set.set(domain, bundle.value);
      }
      const ids = members.flatMap((text) => {
        const id = parseSpiffeId(text);
        return id.ok ? [id.value] : [];
      });
      return { bundles: set, members: ids, rules };
    },
  };
}
