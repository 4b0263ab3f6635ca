import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import type { SpiffeId } from '#identity/spiffe-id.ts';
import { is128Bits, is256Bits } from './base64url.ts';
import { canonicalise, canonicalText } from './canonical.ts';
import { type AckCode, CUSTODY_CODES } from './codes.ts';
import { isAudienceList, isWorkloadId } from './record/audience.ts';
import type { RecordId } from './record.ts';

/**
 * Cumulative: everything of one sender's session to one audience that the receiver is in, up to and
 * with `through`.
 */
export interface AckPayload {
  readonly type: 'ack';
  /** The sender that is acknowledged. */
  readonly to: SpiffeId;
  /** The sender's session. */
  readonly sid: string;
  /**
   * The audience whose `rsq` is counted, as the sender signed it: under another one the same numbers
   * are those of other messages.
   */
  readonly aud: readonly string[];
  /** Highest `rsq` received. */
  readonly through: number;
  /** The receiver's own session: a new one has forgotten what came before. */
  readonly session: string;
  /** `rsq` of those up to `through` that were refused, ascending. */
  readonly rejected?: readonly number[];
}

/** `count` refusals of one kind within one second. */
export interface RefusalPayload {
  readonly type: 'refusal';
  readonly code: string;
  /** The subject token, or SPIFFE ID, that the broker pinned: who brought it. */
  readonly presented_by: string;
  /** Whose record it is; only where the signature verified, else a stranger could frame anyone. */
  readonly signed_by?: SpiffeId;
  /** The first record refused. */
  readonly record?: RecordId;
  readonly subject: string;
  readonly count: number;
}

/** The longest `aud` that fits in a record, and every rejection. */
const MAX_BYTES = 32_768;
const MAX_REJECTED = 1024;
const CODE = /^[A-Z][A-Z0-9_]{2,63}$/;
const PRESENTER = /^[A-Za-z0-9_-]{1,255}$/;
const MAX_SUBJECT = 512;
const SUBJECT = /^[!-~]+$/;
const ACK_MEMBERS: ReadonlySet<string> = new Set([
  'type',
  'to',
  'sid',
  'aud',
  'through',
  'session',
  'rejected',
]);
const REFUSAL_MEMBERS: ReadonlySet<string> = new Set([
  'type',
  'code',
  'presented_by',
  'signed_by',
  'record',
  'subject',
  'count',
]);

/** The payload bytes of an `ack` record: canonical JSON. */
export function encodeAck(payload: AckPayload | RefusalPayload): Uint8Array {
  return Buffer.from(canonicalText({ ...payload }), 'utf8');
}

/** Parses the payload of an `ack` record; strict, and only the canonical spelling. */
export function parseAck(bytes: Uint8Array): Outcome<AckPayload | RefusalPayload, AckCode> {
  if (bytes.length > MAX_BYTES) return refuse('ACK_INVALID', `more than ${MAX_BYTES} bytes`);
  const text = Buffer.from(bytes).toString('utf8');
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return refuse('ACK_INVALID', 'not JSON');
  }
  if (typeof value !== 'object' || value === null || canonicalise(value) !== text) {
    return refuse('ACK_INVALID', 'not canonical JSON');
  }
  const payload = value as Record<string, unknown>;
  if (isAck(payload)) return accept(value as AckPayload);
  if (isRefusal(payload)) return accept(value as RefusalPayload);
  return refuse('ACK_INVALID', 'neither an acknowledgement nor a refusal');
}

function onlyHas(payload: Record<string, unknown>, members: ReadonlySet<string>): boolean {
  return Object.keys(payload).every((member) => members.has(member));
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 1;
}

function isAck(payload: Record<string, unknown>): boolean {
  const { to, through, rejected } = payload;
  return (
    payload.type === 'ack' &&
    onlyHas(payload, ACK_MEMBERS) &&
    typeof to === 'string' &&
    isWorkloadId(to) &&
    is128Bits(payload.sid) &&
    isAudienceList(payload.aud) &&
    isCount(through) &&
    is128Bits(payload.session) &&
    (!Object.hasOwn(payload, 'rejected') || isAscending(rejected, through))
  );
}

function isAscending(value: unknown, most: number): boolean {
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_REJECTED) return false;
  const numbers: readonly unknown[] = value;
  return numbers.every((item, index) => {
    const before = index === 0 ? 0 : numbers[index - 1];
    return isCount(item) && item <= most && item > Number(before);
  });
}

function isRefusal(payload: Record<string, unknown>): boolean {
  const { code, presented_by: presenter, signed_by: signer, subject } = payload;
  return (
    payload.type === 'refusal' &&
    onlyHas(payload, REFUSAL_MEMBERS) &&
    typeof code === 'string' &&
    CODE.test(code) &&
    typeof presenter === 'string' &&
    isPresenter(presenter) &&
    (!Object.hasOwn(payload, 'signed_by') ||
      (typeof signer === 'string' && isWorkloadId(signer))) &&
    (!Object.hasOwn(payload, 'record') || is256Bits(payload.record)) &&
    typeof subject === 'string' &&
    subject.length <= MAX_SUBJECT &&
    SUBJECT.test(subject) &&
    isCount(payload.count)
  );
}

function isPresenter(text: string): boolean {
  return PRESENTER.test(text) || isWorkloadId(text);
}

/**
 * A refusal quotes what a stranger sent; made plain here, so that an odd subject cannot make the
 * report of its refusal unreadable, and with it disappear.
 */
export function plainRefusal<T extends Pick<RefusalPayload, 'presented_by' | 'subject'>>(
  refusal: T,
): T {
  const { presented_by: presenter, subject } = refusal;
  const plain = subject.slice(0, MAX_SUBJECT).replace(/[^!-~]/g, '?');
  return {
    ...refusal,
    presented_by: isPresenter(presenter) ? presenter : 'unknown',
    subject: plain === '' ? '?' : plain,
  };
}

/** True when a refusal with this code may name the signer: its signature had verified by then. */
export function signerKnown(code: string): boolean {
  if (!Object.hasOwn(CUSTODY_CODES, code)) return false;
  return CUSTODY_CODES[code as keyof typeof CUSTODY_CODES].signerKnown;
}
