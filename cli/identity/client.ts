import type { z } from 'zod';
import type { EntryInput } from '#identity/issuer/entry.ts';
import {
  DocumentReply,
  EntriesReply,
  IssuedReply,
  JoinTokenReply,
  NodesReply,
} from '#identity/issuer/link-messages.ts';
import { EMPTY_LOG, type LogHead, type LogRow, verifyLog } from '#identity/issuer/log.ts';
import { askControl, type ControlAddress } from '#runtime/control/client.ts';
import { MAX_REQUEST_BYTES } from '#runtime/control/protocol.ts';
import { UserError } from '../output.ts';

export type Stored = EntriesReply['entries'][number];
/** An agent on another machine that joined. */
export type Node = NodesReply['nodes'][number];

/** The issuance log as this process followed it from its first row. */
export interface FollowedLog {
  /** The last ones, oldest first. */
  readonly rows: readonly LogRow[];
  readonly head: LogHead;
  /** Why the chain broke, when it did. */
  readonly broken?: string;
}

/** The issuer of a running swarm as an operator sees it. Every method throws `UserError`. */
export interface IdentityClient {
  entries(): Promise<readonly Stored[]>;
  /** @throws UserError that says which were added before one was refused */
  add(entries: readonly EntryInput[]): Promise<readonly Stored[]>;
  /** @param id its start, when no other entry's id starts so */
  remove(id: string): Promise<Stored>;
  find(id: string): Promise<Stored>;
  /** @param keep how many of the last rows */
  issued(keep: number): Promise<FollowedLog>;
  bundle(): Promise<DocumentReply>;
  token(ttl: number, listen: string | undefined): Promise<JoinTokenReply>;
  nodes(): Promise<readonly Node[]>;
  /** @param id an agent's SPIFFE ID, or the start of its last part when no other's starts so */
  evict(id: string): Promise<Node>;
}

const storedEntry = EntriesReply.shape.entries.element;
const logRow = IssuedReply.shape.rows.element;
const headReply = IssuedReply.pick({ head: true });
/** Room for the request around the entries. */
const BATCH_BYTES = MAX_REQUEST_BYTES - 1024;

function as<T>(schema: z.ZodType<T>, value: unknown): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new UserError('the swarm answered in another form: was it started by another version?');
}

/** As many entries in one request as one takes. */
function batches(entries: readonly EntryInput[]): EntryInput[][] {
  const result: EntryInput[][] = [];
  let size = 0;
  for (const entry of entries) {
    const bytes = Buffer.byteLength(JSON.stringify(entry)) + 1;
    const last = result.at(-1);
    if (last === undefined || size + bytes > BATCH_BYTES) {
      result.push([entry]);
      size = bytes;
    } else {
      last.push(entry);
      size += bytes;
    }
  }
  return result;
}

export function identityClient(address: ControlAddress): IdentityClient {
  async function ask(
    verb: string,
    args: Readonly<Record<string, unknown>> = {},
    part?: (value: unknown) => void,
  ): Promise<unknown> {
    const answer = await askControl(address, verb, args, part);
    if (!answer.ok) throw new UserError(`${answer.code}: ${answer.detail}`);
    return answer.value;
  }
  const entries = async (): Promise<readonly Stored[]> => {
    const parts: unknown[] = [];
    await ask('identity-entries', {}, (value) => parts.push(value));
    return parts.map((value) => as(storedEntry, value));
  };
  const nodes = async (): Promise<readonly Node[]> =>
    as(NodesReply, await ask('identity-nodes')).nodes;
  const find = async (id: string): Promise<Stored> => {
    const all = await entries();
    const exact = all.filter(({ entry }) => entry.id === id);
    const found = exact.length > 0 ? exact : all.filter(({ entry }) => entry.id.startsWith(id));
    const [one] = found;
    if (one === undefined) {
      throw new UserError(`no entry has an id that starts with "${id}"; see 'identity entries'`);
    }
    if (found.length > 1) {
      throw new UserError(`${found.length} entries have ids that start with "${id}": give more`);
    }
    return one;
  };

  return {
    entries,
    find,
    add: async (inputs) => {
      const added: Stored[] = [];
      for (const batch of batches(inputs)) {
        const answer = await askControl(address, 'identity-add', { entries: batch });
        if (!answer.ok) {
          const before = added.length === 0 ? 'nothing was added' : `${added.length} were added`;
          throw new UserError(`${answer.code}: ${answer.detail} (${before})`);
        }
        added.push(...as(EntriesReply, answer.value).entries);
      }
      return added;
    },
    remove: async (id) => {
      const { entry } = await find(id);
      const [removed] = as(EntriesReply, await ask('identity-remove', { id: entry.id })).entries;
      if (removed === undefined) throw new UserError('the issuer did not say what it removed');
      return removed;
    },
    issued: async (keep) => {
      let rows: LogRow[] = [];
      let last: LogHead = EMPTY_LOG;
      let broken: string | undefined;
      const answer = await ask('identity-issued', { from: 1 }, (value) => {
        const parsed = logRow.safeParse(value);
        if (!parsed.success) {
          broken ??= 'a row is not of its form';
          return;
        }
        // Judged here and not by the issuer, whose own log it is.
        const next = verifyLog([parsed.data], last);
        if (next.ok) last = next.value;
        else broken ??= next.detail;
        rows.push(parsed.data);
        if (rows.length > 2 * keep) rows = rows.slice(-keep);
      });
      const { head } = as(headReply, answer);
      if (last.seq < head.seq) broken ??= `row ${last.seq + 1} is missing`;
      return { rows: rows.slice(-keep), head: last, ...(broken !== undefined && { broken }) };
    },
    bundle: async () => as(DocumentReply, await ask('identity-bundle')),
    nodes,
    evict: async (id) => {
      const all = await nodes();
      const lastPart = (node: Node) => node.id.slice(node.id.lastIndexOf('/') + 1);
      const exact = all.filter((node) => node.id === id);
      const found = exact.length > 0 ? exact : all.filter((node) => lastPart(node).startsWith(id));
      const [one] = found;
      if (one === undefined) {
        throw new UserError(`no node has an ID that ends in "${id}…"; see 'identity nodes'`);
      }
      if (found.length > 1) {
        throw new UserError(`${found.length} nodes have IDs that start with "${id}": give more`);
      }
      const [evicted] = as(NodesReply, await ask('identity-evict', { id: one.id })).nodes;
      if (evicted === undefined) throw new UserError('the issuer did not say whom it put out');
      return evicted;
    },
    token: async (ttl, listen) =>
      as(
        JoinTokenReply,
        await ask('identity-token', { ttl, ...(listen !== undefined && { listen }) }),
      ),
  };
}
