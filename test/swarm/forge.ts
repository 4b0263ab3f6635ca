import { toBytes } from '#agents/json.ts';
import { recordHeaders } from '#bus/client/envelope.ts';
import { type NatsConnection, outgoing } from '#bus/client/nats.ts';
import type { RunningSwarm } from '#cli/wiring/swarm.ts';
import type { SignedRecord } from '#custody/record.ts';
import { isMessage } from './account.ts';

/** The payload of an ordinary reading of that sensor. */
export function readingOf(token: string, row: number): Uint8Array {
  return toBytes({
    type: 'reading',
    id: `${token}:attack:${row}`,
    row,
    measure: 'speed',
    at: new Date(Date.UTC(2026, 0, 1)).toISOString(),
    value: 60,
    late: false,
  });
}

/** Publishes a record as it was signed, or with other bytes, on its subject or another. */
export function publish(
  nats: NatsConnection,
  record: SignedRecord,
  payload: Uint8Array,
  subject = record.claims.sbj,
  reply?: string,
): void {
  nats.publish(subject, payload, {
    headers: outgoing(recordHeaders(record, { chain: true })),
    ...(reply === undefined ? {} : { reply }),
  });
}

/**
 * The next genuine message on that subject, whole as an eavesdropper would have it: an old one is
 * refused for its age before anything else.
 */
export async function captured(
  { ledger }: RunningSwarm,
  subject: string,
): Promise<{ readonly record: SignedRecord; readonly payload: Uint8Array }> {
  const entry = await ledger.entry((one) => isMessage(one, subject), ledger.size());
  if (entry.type !== 'record') throw new Error('no record');
  const { id, jws, claims, thumbprint } = entry.record;
  const chain = ledger.chain(thumbprint) ?? [];
  const record = { id, jws, claims, chain, salt: entry.salt };
  return { record, payload: entry.payload ?? new Uint8Array() };
}
