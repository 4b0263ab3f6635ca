import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import type { PayloadCode } from './codes.ts';

/**
 * An HTTP exchange inside a signed payload: method, path and content type are signed with the
 * body, and the verified peer travels beside it, never in a header of it.
 */
export interface BusRequest {
  /** GET, POST, PUT or DELETE: the parser refuses every other. */
  readonly method: string;
  /** Origin form (RFC 9112 3.2.1): begins with one `/`. */
  readonly path: string;
  readonly contentType: string;
  readonly body: string;
}

export interface BusResponse {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
  /** What the policy said of the request; absent where it was not asked. */
  readonly decision?: SignedDecision;
}

/** A decision as its enforcement point signs it with the answer. */
export interface SignedDecision {
  readonly id: string;
  readonly allow: boolean;
  /** Names of the checks that allowed or denied, at most 32. */
  readonly reasons: readonly string[];
  /** Of policy and data together; empty when no policy could be asked. */
  readonly revision: string;
}

type Code = Extract<PayloadCode, 'HTTP_MESSAGE_MALFORMED'>;

const METHODS: readonly string[] = ['GET', 'POST', 'PUT', 'DELETE'];
/** No `//host`, no dot segments, no control characters: one path has one meaning. */
const PATH = /^\/(?:[A-Za-z0-9._~!$&'()*+,;=:@%?-][A-Za-z0-9._~!$&'()*+,;=:@%?/-]*)?$/;
const CONTENT_TYPE = /^[!-~][ -~]{0,126}$/;
const MAX_PATH = 2048;
const DECISION_ID = /^[A-Za-z0-9_-]{1,64}$/;
const REASON = /^[a-z][a-z0-9_]{0,63}$/;
const REVISION = /^[A-Za-z0-9]{0,64}$/;
const MAX_REASONS = 32;

const utf8 = new TextDecoder('utf-8', { fatal: true });

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(utf8.decode(bytes));
  } catch {
    return undefined;
  }
}

function members(
  value: unknown,
  names: readonly string[],
  optional?: string,
): Record<string, unknown> | undefined {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const keys = Object.keys(value).filter((key) => key !== optional);
  // Exactly these members: what one side ignores, the other could act on.
  if (keys.length !== names.length || !names.every((name) => Object.hasOwn(value, name))) {
    return undefined;
  }
  return value as Record<string, unknown>;
}

function hasDotSegment(path: string): boolean {
  const [plain = ''] = path.split('?', 1);
  return plain.split('/').some((segment) => /^(?:\.|%2e){1,2}$/i.test(segment));
}

function malformed(detail: string) {
  return refuse<Code>('HTTP_MESSAGE_MALFORMED', detail);
}

/** Strict: UTF-8 JSON with exactly the four members. */
export function parseRequest(bytes: Uint8Array): Outcome<BusRequest, Code> {
  const fields = members(parse(bytes), ['method', 'path', 'contentType', 'body']);
  if (fields === undefined) return malformed('a request is method, path, contentType and body');
  const { method, path, contentType, body } = fields;
  if (typeof method !== 'string' || !METHODS.includes(method)) return malformed('unknown method');
  if (typeof path !== 'string' || path.length > MAX_PATH || !PATH.test(path)) {
    return malformed('the path is not in origin form');
  }
  if (hasDotSegment(path)) return malformed('the path has a dot segment');
  if (typeof contentType !== 'string' || (contentType !== '' && !CONTENT_TYPE.test(contentType))) {
    return malformed('the content type is not one');
  }
  if (typeof body !== 'string') return malformed('the body is not text');
  return accept({ method, path, contentType, body });
}

/** Strict: UTF-8 JSON with exactly the three members, and perhaps a decision. */
export function parseResponse(bytes: Uint8Array): Outcome<BusResponse, Code> {
  const fields = members(parse(bytes), ['status', 'contentType', 'body'], 'decision');
  if (fields === undefined) return malformed('a response is status, contentType and body');
  const { status, contentType, body } = fields;
  if (typeof status !== 'number' || !Number.isInteger(status) || status < 100 || status > 599) {
    return malformed('the status is not an HTTP status');
  }
  if (typeof contentType !== 'string' || (contentType !== '' && !CONTENT_TYPE.test(contentType))) {
    return malformed('the content type is not one');
  }
  if (typeof body !== 'string') return malformed('the body is not text');
  if (!Object.hasOwn(fields, 'decision')) return accept({ status, contentType, body });
  const decision = parseDecision(fields.decision);
  if (decision === undefined) return malformed('the decision is not one');
  return accept({ status, contentType, body, decision });
}

function parseDecision(value: unknown): SignedDecision | undefined {
  const { id, allow, reasons, revision } =
    members(value, ['id', 'allow', 'reasons', 'revision']) ?? {};
  if (typeof id !== 'string' || !DECISION_ID.test(id) || typeof allow !== 'boolean') return;
  if (typeof revision !== 'string' || !REVISION.test(revision)) return;
  if (!Array.isArray(reasons) || reasons.length === 0 || reasons.length > MAX_REASONS) return;
  const named: readonly unknown[] = reasons;
  if (!named.every((one): one is string => typeof one === 'string' && REASON.test(one))) return;
  return { id, allow, reasons: named, revision };
}

export function encodeRequest({ method, path, contentType, body }: BusRequest): Uint8Array {
  return Buffer.from(JSON.stringify({ method, path, contentType, body }));
}

export function encodeResponse(response: BusResponse): Uint8Array {
  const { status, contentType, body, decision } = response;
  return Buffer.from(JSON.stringify({ status, contentType, body, decision }));
}
