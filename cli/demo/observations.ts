import { fromBytes } from '#agents/json.ts';
import { parseReadingId, readingSchema } from '#agents/reading.ts';
import { type AckPayload, parseAck } from '#custody/ack.ts';
import type { LedgerEntry, RecordEntry } from '#custody/ledger/entry.ts';
import { audienceKey } from '#custody/record/audience.ts';
import { type Ancestry, verifyAncestry } from '#custody/verify.ts';
import type { SpiffeId } from '#identity/spiffe-id.ts';
import { openX509Source } from '#identity/workload-api/client.ts';
import type { Issued, RunningSwarm } from '../wiring/swarm.ts';

export const isReading = (entry: LedgerEntry): entry is RecordEntry =>
  entry.type === 'record' && entry.record.claims.knd === 'root';

export const isFinding = (entry: LedgerEntry): entry is RecordEntry =>
  entry.type === 'record' && entry.record.claims.sbj.split('.')[1] === 'finding';

/** An agent's order to the tool server; the tool server's own to the city works is another. */
export const isAction = (entry: LedgerEntry): entry is RecordEntry =>
  entry.type === 'record' &&
  entry.record.claims.knd === 'act' &&
  entry.record.claims.sbj.startsWith('svc.mcp.');

/** A record and all that led to it, judged here under the trust domain's own roots. */
export function judged(running: RunningSwarm, entry: RecordEntry): Ancestry | undefined {
  return verifyAncestry(running.ledger.ancestry(entry.record.id), {
    bundles: running.trust(),
    members: running.swarm.members.map(({ id }) => id),
  });
}

/** The SVID that replaces the one with serial `held`. */
export function nextIssued(running: RunningSwarm, id: SpiffeId, held: string): Promise<Issued> {
  return new Promise((resolve) => {
    const stop = running.onIssued((issued) => {
      if (issued.spiffeId !== id || issued.serial === held) return;
      stop();
      resolve(issued);
    });
  });
}

/** Readings of one sensor in the ledger: the highest row, and how many rows up to it are missing. */
export function readingsOf(
  running: RunningSwarm,
  id: SpiffeId,
): { readonly rows: number; readonly missing: number } {
  const rows = new Set<number>();
  let highest = 0;
  for (const entry of running.ledger.list({ iss: id, limit: Number.MAX_SAFE_INTEGER })) {
    if (!isReading(entry) || entry.payload === undefined) continue;
    const reading = readingSchema.safeParse(fromBytes(entry.payload));
    const row = reading.success ? parseReadingId(reading.data.id)?.row : undefined;
    if (row === undefined) continue;
    rows.add(row);
    highest = Math.max(highest, row);
  }
  return { rows: highest, missing: highest - rows.size };
}

/**
 * How many of a sensor's readings its receivers have acknowledged, by their signed word. A reading
 * that was signed again is one reading; what a receiver rejected is acknowledged by its next record.
 */
export function acknowledgedOf(running: RunningSwarm, id: SpiffeId): number {
  const all = { limit: Number.MAX_SAFE_INTEGER };
  const through = new Map<string, number>();
  const rejected = new Set<string>();
  for (const entry of running.ledger.list({ kind: 'ack', ...all })) {
    const ack = ackOf(entry);
    if (ack?.to !== id) continue;
    const counter = counterOf(ack);
    through.set(counter, Math.max(through.get(counter) ?? 0, ack.through));
    for (const rsq of ack.rejected ?? []) rejected.add(`${counter} ${rsq}`);
  }
  const acknowledged = new Set<string>();
  for (const entry of running.ledger.list({ iss: id, ...all })) {
    if (!isReading(entry) || entry.payload === undefined) continue;
    const { claims } = entry.record;
    const counter = counterOf(claims);
    const { rsq } = claims;
    if (rsq > (through.get(counter) ?? 0) || rejected.has(`${counter} ${rsq}`)) continue;
    const reading = readingSchema.safeParse(fromBytes(entry.payload));
    if (reading.success) acknowledged.add(reading.data.id);
  }
  return acknowledged.size;
}

/** A session to an audience: what a sender's messages are numbered for. */
const counterOf = ({ sid, aud }: Pick<AckPayload, 'sid' | 'aud'>): string =>
  `${sid} ${audienceKey(aud)}`;

function ackOf(entry: LedgerEntry): AckPayload | undefined {
  if (entry.type !== 'record' || entry.payload === undefined) return undefined;
  const ack = parseAck(entry.payload);
  return ack.ok && ack.value.type === 'ack' ? ack.value : undefined;
}

/** This process asks for an SVID like a workload. Nobody attested it; resolves with the answer. */
export async function askUnattested(running: RunningSwarm): Promise<string> {
  const ended = new AbortController();
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  openX509Source({
    socketPath: running.run.workloadSocket,
    trustDomain: running.swarm.trustDomain,
    signal: ended.signal,
    onState: (state) => {
      if (state.kind === 'denied') resolve(state.detail);
    },
  }).then(
    (source) => {
      source.close();
      reject(new Error('an unattested process was given an identity'));
    },
    () => {},
  );
  try {
    return await promise;
  } finally {
    ended.abort();
  }
}
