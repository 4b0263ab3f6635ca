import { accept, type Outcome, refuse } from './outcome.ts';

/** A well-formed SPIFFE ID (SPIFFE-ID, section 2). Made only by `parseSpiffeId`. */
export type SpiffeId = string & { readonly __spiffeId: unique symbol };

export const SPIFFE_ID_CODES = [
  'ID_NOT_SPIFFE',
  'ID_TOO_LONG',
  'ID_TRUST_DOMAIN_INVALID',
  'ID_PATH_INVALID',
] as const;
export type SpiffeIdCode = (typeof SPIFFE_ID_CODES)[number];

/** SPIFFE-ID 2.3: implementations support 2,048 bytes, a trust domain has at most 255. */
const MAX_ID_BYTES = 2048;
const MAX_TRUST_DOMAIN_BYTES = 255;
const SCHEME = 'spiffe://';
const TRUST_DOMAIN = /^[a-z0-9._-]+$/;
const SEGMENT = /^[a-zA-Z0-9._-]+$/;

/**
 * Parses a SPIFFE ID. Upper case in scheme or trust domain is refused, as go-spiffe does: the
 * text lets a parser fold it (2.4), but two spellings of one identity help only an attacker.
 * The ID of a trust domain itself (no path) is accepted; who needs a workload's ID checks `pathOf`.
 */
export function parseSpiffeId(text: string): Outcome<SpiffeId, SpiffeIdCode> {
  if (!text.startsWith(SCHEME)) return refuse('ID_NOT_SPIFFE', 'a SPIFFE ID starts with spiffe://');
  if (text.length > MAX_ID_BYTES) {
    return refuse('ID_TOO_LONG', `a SPIFFE ID has at most ${MAX_ID_BYTES} bytes`);
  }
  const rest = text.slice(SCHEME.length);
  const slash = rest.indexOf('/');
  const trustDomain = slash === -1 ? rest : rest.slice(0, slash);
  if (trustDomain.length > MAX_TRUST_DOMAIN_BYTES || !TRUST_DOMAIN.test(trustDomain)) {
    return refuse(
      'ID_TRUST_DOMAIN_INVALID',
      'a trust domain has 1 to 255 characters out of a-z, 0-9, ".", "-" and "_"',
    );
  }
  if (slash !== -1) {
    for (const segment of rest.slice(slash + 1).split('/')) {
      if (segment === '.' || segment === '..' || !SEGMENT.test(segment)) {
        return refuse(
          'ID_PATH_INVALID',
          'path segments are not empty, not "." or "..", and use only a-z, A-Z, 0-9, ".", "-" and "_"',
        );
      }
    }
  }
  return accept(text as SpiffeId);
}

/** For IDs that code or validated configuration spells. @throws Error when it is not a SPIFFE ID. */
export function spiffeId(text: string): SpiffeId {
  const parsed = parseSpiffeId(text);
  if (!parsed.ok) throw new Error(`${parsed.code}: ${parsed.detail}`);
  return parsed.value;
}

export function trustDomainOf(id: SpiffeId): string {
  const slash = id.indexOf('/', SCHEME.length);
  return id.slice(SCHEME.length, slash === -1 ? undefined : slash);
}

/** The path with its leading slash; empty for the ID of a trust domain. */
export function pathOf(id: SpiffeId): string {
  const slash = id.indexOf('/', SCHEME.length);
  return slash === -1 ? '' : id.slice(slash);
}
