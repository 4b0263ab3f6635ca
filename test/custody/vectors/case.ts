import { encodeBase64Url } from '#custody/base64url.ts';
import type { RecordCode } from '#custody/codes.ts';
import type { Case } from './good.ts';
import { type Forgery, fixed } from './sender.ts';

export interface BadCase extends Case {
  readonly code: RecordCode;
}

/** A fixed record id. */
export const id = (name: string) => encodeBase64Url(fixed(name, 32));

export function bad(
  code: RecordCode,
  name: string,
  description: string,
  forgery: Forgery,
): BadCase {
  return { code, name, description, forgery };
}

/** Rewrites one part of a JWS. */
export function part(jws: string, index: number, change: (text: string) => string): string {
  return jws
    .split('.')
    .map((text, at) => (at === index ? change(text) : text))
    .join('.');
}

/** The same bits and one that should be zero. */
export function trailingBit(text: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  return text.slice(0, -1) + alphabet[alphabet.indexOf(text.slice(-1)) + 1];
}
