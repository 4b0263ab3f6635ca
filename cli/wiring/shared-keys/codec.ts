import { z } from 'zod';
import { RECORD_KINDS, type RecordId } from '#custody/record.ts';

/**
 * How a swarm speaks that has one API key for all: JSON over plain NATS. Whoever holds the key may
 * publish and subscribe every subject, and is who its messages say it is.
 */

/** `north.reading`: everybody of the district who wants that kind listens. */
export function messageSubject(district: string, kind: string): string {
  return `${district}.${kind}`;
}

/** `svc.llm`: requests to a service, answered by plain request and reply. */
export function requestSubject(service: string): string {
  return `svc.${service}`;
}

/** `ack.sensor-cam-1`: receivers tell a sender what they have taken. */
export function ackSubject(sender: string): string {
  return `ack.${sender}`;
}

/** Lines for the swarm's log file. */
export const LOG_SUBJECT = 'log';

/** The user that goes with the key; it is the same for everybody, as the key is. */
export const SHARED_USER = 'swarm';

const id = z
  .string()
  .regex(/^[A-Za-z0-9_-]{43}$/)
  .transform((text) => text as RecordId);
const name = z.string().min(1).max(128);

const envelope = z.strictObject({
  /** Token of the sender, by its own account. */
  from: name,
  /** Made up by the sender: 256 bits, base64url. */
  id,
  kind: z.enum(RECORD_KINDS),
  /** Ids of messages that led to this one, by the sender's own account. */
  causes: z.array(id).max(256),
  /** The tool that an `act` orders. */
  tool: z
    .strictObject({ kind: name, model: name, rid: z.string().max(128), signed: z.literal(false) })
    .optional(),
  body: z.string(),
});
export type Envelope = z.output<typeof envelope>;

const ack = z.strictObject({ from: name, id });
export type Ack = z.output<typeof ack>;

function read<T>(schema: z.ZodType<T>, bytes: Uint8Array): T | undefined {
  try {
    return schema.parse(JSON.parse(Buffer.from(bytes).toString('utf8')));
  } catch {
    return undefined;
  }
}

export function encodeEnvelope(message: Envelope): Uint8Array {
  return Buffer.from(JSON.stringify(message));
}

/** `undefined` for what is no envelope. */
export function parseEnvelope(bytes: Uint8Array): Envelope | undefined {
  return read(envelope, bytes);
}

export function encodeAck(message: Ack): Uint8Array {
  return Buffer.from(JSON.stringify(message));
}

export function parseAck(bytes: Uint8Array): Ack | undefined {
  return read(ack, bytes);
}
