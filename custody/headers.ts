import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import {
  decodeBase64,
  decodeBase64Url,
  encodeBase64,
  encodeBase64Url,
  is128Bits,
} from './base64url.ts';
import type { RecordCode } from './codes.ts';
import { MAX_JWS_CHARACTERS } from './record/parse.ts';
import type { SignedRecord } from './record.ts';

/** The JWS. Further `Custody-` names are left free for signatures over batches. */
export const CUSTODY_HEADER = 'Custody';
/** 16 random bytes, base64url. */
export const SALT_HEADER = 'Custody-Salt';
/** DER certificates, base64, comma-joined, leaf first. Only on the first record of an SVID. */
export const CHAIN_HEADER = 'Custody-Chain';

const MAX_CERTIFICATES = 5;
const MAX_CHAIN_CHARACTERS = 32_768;

/** What came beside a payload, decoded but not yet believed. */
export interface CustodyHeaders {
  readonly jws: string;
  readonly salt: Uint8Array;
  readonly chain?: readonly Uint8Array[];
}

/** Pairs to set on a message. */
export function encodeHeaders(
  record: Pick<SignedRecord, 'jws' | 'salt' | 'chain'>,
  options: { readonly chain: boolean },
): readonly (readonly [name: string, value: string])[] {
  const headers: [string, string][] = [
    [CUSTODY_HEADER, record.jws],
    [SALT_HEADER, encodeBase64Url(record.salt)],
  ];
  if (options.chain) headers.push([CHAIN_HEADER, encodeChain(record.chain)]);
  return headers;
}

const NAMES = new Map([CUSTODY_HEADER, SALT_HEADER, CHAIN_HEADER].map((n) => [n.toLowerCase(), n]));

/**
 * Reads the custody headers from all headers of a message (nats.js `MsgHdrs` is such an iterable).
 * Each occurs once, in its own spelling: with two, or with `custody` beside `Custody`, two readers
 * could each believe another one.
 */
export function decodeHeaders(
  headers: Iterable<readonly [string, readonly string[]]> | undefined,
): Outcome<CustodyHeaders, RecordCode> {
  const found = new Map<string, string>();
  for (const [name, values] of headers ?? []) {
    const known = NAMES.get(name.toLowerCase());
    if (known === undefined) continue;
    const [value] = values;
    if (name !== known || found.has(known) || values.length !== 1 || value === undefined) {
      return refuse('RECORD_HEADER_REPEATED', `the header ${known} must appear once, so spelt`);
    }
    found.set(known, value);
  }
  const jws = found.get(CUSTODY_HEADER);
  const saltText = found.get(SALT_HEADER);
  if (jws === undefined || saltText === undefined) {
    return refuse(
      'RECORD_HEADER_MISSING',
      `a message carries ${CUSTODY_HEADER} and ${SALT_HEADER}`,
    );
  }
  if (jws.length > MAX_JWS_CHARACTERS) {
    return refuse('RECORD_TOO_LARGE', `a record has at most ${MAX_JWS_CHARACTERS} characters`);
  }
  const salt = is128Bits(saltText) ? decodeBase64Url(saltText) : undefined;
  if (salt === undefined)
    return refuse('RECORD_SALT_INVALID', 'the salt is not 16 bytes, base64url');
  const chainText = found.get(CHAIN_HEADER);
  if (chainText === undefined) return accept({ jws, salt });
  const chain = decodeChain(chainText);
  return chain.ok ? accept({ jws, salt, chain: chain.value }) : chain;
}

export function encodeChain(chain: readonly Uint8Array[]): string {
  return chain.map(encodeBase64).join(',');
}

export function decodeChain(text: string): Outcome<readonly Uint8Array[], RecordCode> {
  if (text.length > MAX_CHAIN_CHARACTERS) {
    return refuse('RECORD_TOO_LARGE', `a chain has at most ${MAX_CHAIN_CHARACTERS} characters`);
  }
  const parts = text.split(',', MAX_CERTIFICATES + 1);
  if (parts.length > MAX_CERTIFICATES) {
    return refuse('RECORD_TOO_LARGE', `a chain has at most ${MAX_CERTIFICATES} certificates`);
  }
  const chain: Uint8Array[] = [];
  for (const part of parts) {
    const der = decodeBase64(part);
    if (der === undefined) return refuse('RECORD_CHAIN_INVALID', 'the chain is not base64 DER');
    chain.push(der);
  }
  return accept(chain);
}
