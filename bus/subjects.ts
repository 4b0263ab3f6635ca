import type { Member } from './directory.ts';

/**
 * Every NATS name of the swarm is made here. The policy spells the same names in Rego; an
 * integration test holds the two together. A token is one subject segment.
 */
const TOKEN = /^[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?$/;

export function isToken(text: string): boolean {
  return TOKEN.test(text);
}

/** `north.reading.sensor-cam-1`: the last segment names the sender. */
export function streamSubject(sender: Member, kind: string): string {
  return `${sender.district ?? 'platform'}.${kind}.${sender.token}`;
}

/** `north.ack.analyzer-analyzer-1.sensor-cam-1`: who acknowledges, to whom. */
export function ackSubject(acker: Member, to: Member): string {
  return `${acker.district ?? 'platform'}.ack.${acker.token}.${to.token}`;
}

/** `svc.llm.analyzer-analyzer-1`: a request to a service; the last segment names the caller. */
export function requestSubject(service: string, caller: Member): string {
  return `svc.${service}.${caller.token}`;
}

/** `_INBOX.analyzer-analyzer-1.llm.<nonce>`: only that service may publish below it. */
export function replySubject(caller: Member, service: string, nonce: string): string {
  return `_INBOX.${caller.token}.${service}.${nonce}`;
}

/** `custody.append.sensor-cam-1`: records for the ledger; the last segment names the submitter. */
export function appendSubject(submitter: Member): string {
  return `custody.append.${submitter.token}`;
}

/**
 * Where the broker delivers a kind to a receiver. `_js` is no token, so no service may publish
 * there; five segments, so that it is no reply.
 */
export function deliverySubject(receiver: Member, kind: string): string {
  return `_INBOX.${receiver.token}._js.${streamName(kind)}.deliver`;
}

/** Where the ledger confirms what it appended of a submitter's records. */
export function receiptSubject(submitter: Member): string {
  return `_INBOX.${submitter.token}.ledger.receipt`;
}

/** Queue group of a service's instances; pinned by permission, else anyone could join it. */
export function serviceQueue(service: string): string {
  return `svc-${service}`;
}

/** JetStream stream of a message kind (`READING`), and the two of the ledger. */
export function streamName(kind: string): string {
  return kind.toUpperCase();
}
export const APPEND_STREAM = 'APPEND';
export const LEDGER_STREAM = 'LEDGER';
export const LEDGER_SUBJECT = 'ledger.entry';
export const CHECKPOINT_STREAM = 'CHECKPOINT';
export const CHECKPOINT_SUBJECT = 'ledger.checkpoint';
/** What the ledger keeps: its entries, and the tree heads that witnesses cosigned. */
export const LEDGER_ENTRIES = { name: LEDGER_STREAM, subject: LEDGER_SUBJECT } as const;
export const LEDGER_CHECKPOINTS = {
  name: CHECKPOINT_STREAM,
  subject: CHECKPOINT_SUBJECT,
} as const;

/** The durable consumer of a receiver on a stream is named by the receiver's token. */
export function durableName(receiver: Member): string {
  return receiver.token;
}

/** The token that the broker pinned: the segment by which a subject names its sender. */
export function presentedBy(subject: string): string | undefined {
  const parts = subject.split('.');
  if (parts[0] === '_INBOX') return parts.length === 4 ? parts[2] : undefined;
  if (parts[1] === 'ack') return parts.length === 4 ? parts[2] : undefined;
  return parts.length === 3 ? parts[2] : undefined;
}
