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
}

type Code = Extract<PayloadCode, 'HTTP_MESSAGE_MALFORMED'>;

const METHODS: readonly string[] = ['GET', 'POST', 'PUT', 'DELETE'];
/** No `//host`, no dot segments, no control characters: one path has one meaning. */
const PATH = /^\/(?:[A-Za-z0-9._~!$&'()*+,;=:@%?-][A-Za-z0-9._~!$&'()*+,;=:@%?/-]*)?$/;
const CONTENT_TYPE = /^[!-~][ -~]{0,126}$/;
const MAX_PATH = 2048;

const utf8 = new TextDecoder('utf-8', { fatal: true });

function members(bytes: Uint8Array, names: readonly string[]): Record<string, unknown> | undefined {
  let value: unknown;
  try {
    value = JSON.parse(utf8.decode(bytes));
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
  const keys = Object.keys(value);
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
  const fields = members(bytes, ['method', 'path', 'contentType', 'body']);
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

/** Strict: UTF-8 JSON with exactly the three members. */
export function parseResponse(bytes: Uint8Array): Outcome<BusResponse, Code> {
  const fields = members(bytes, ['status', 'contentType', 'body']);
  if (fields === undefined) return malformed('a response is status, contentType and body');
  const { status, contentType, body } = fields;
  if (typeof status !== 'number' || !Number.isInteger(status) || status < 100 || status > 599) {
    return malformed('the status is not an HTTP status');
  }
  if (typeof contentType !== 'string' || (contentType !== '' && !CONTENT_TYPE.test(contentType))) {
    return malformed('the content type is not one');
  }
  if (typeof body !== 'string') return malformed('the body is not text');
  return accept({ status, contentType, body });
}

export function encodeRequest({ method, path, contentType, body }: BusRequest): Uint8Array {
  return Buffer.from(JSON.stringify({ method, path, contentType, body }));
}

export function encodeResponse({ status, contentType, body }: BusResponse): Uint8Array {
  return Buffer.from(JSON.stringify({ status, contentType, body }));
}
