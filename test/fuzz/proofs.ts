import { readBundleDocument } from '#identity/bundle-document.ts';
import type { JwtBundle } from '#identity/jwt/bundle.ts';
import { validateJwtSvid } from '#identity/jwt/validate.ts';
import { verifyX509Svid } from '#identity/x509/verify.ts';
import {
  bundlesOf,
  chainOf,
  type JwtVector,
  type JwtVectorHead,
  readList,
  type Vector,
} from '../identity/support/vectors.ts';
import type { Target } from './target.ts';

/** Any changed leaf under genuine authorities: nobody signed it, so nothing may accept it. */
export function chainTarget(vectors: readonly Vector[]): Target {
  const cases = vectors.flatMap((vector) => {
    const [leaf, ...rest] = chainOf(vector);
    const now = new Date(vector.now);
    return leaf === undefined ? [] : [{ leaf, rest, bundles: bundlesOf(vector), now, vector }];
  });
  // A vector that is refused in its own world may hold an honest leaf of another.
  const signed = new Set(cases.map(({ leaf }) => Buffer.from(leaf).toString('base64')));
  return {
    name: 'x509-chain',
    seeds: cases.map(({ leaf }) => leaf),
    check(input) {
      for (const [index, { rest, bundles, now }] of cases.entries()) {
        // Each leaf meets some of the worlds; the bytes say which, so that a case stays what it is.
        if ((index + input.length) % 41 !== 0) continue;
        const outcome = verifyX509Svid([input, ...rest], bundles, now);
        if (outcome.ok && !signed.has(Buffer.from(input).toString('base64'))) {
          throw new Error(`an SVID that nobody signed is accepted as ${outcome.value.id}`);
        }
        verifyX509Svid([...rest, input], bundles, now);
      }
    },
  };
}

/** Any changed token: accepted only when it is, character by character, one that was signed. */
export function tokenTarget(): Target {
  const { vectors, ...head } = readList<JwtVector, JwtVectorHead>('jwt-svid.json');
  const bundles = new Map<string, JwtBundle>();
  for (const [name, document] of Object.entries(head.bundles)) {
    const read = readBundleDocument(name, Buffer.from(JSON.stringify(document)));
    if (read.ok) bundles.set(name, read.value.jwt);
  }
  const now = new Date(head.now);
  const signed = new Set(
    vectors.filter(({ expected }) => expected === 'OK').map(({ token }) => token),
  );
  return {
    name: 'jwt-svid',
    seeds: vectors.map(({ token }) => Buffer.from(token)),
    check(input) {
      const token = Buffer.from(input).toString('latin1');
      const outcome = validateJwtSvid(token, { audience: head.audience, bundles, now });
      if (outcome.ok && !signed.has(token)) {
        throw new Error(`a token that nobody signed is accepted as ${outcome.value.id}`);
      }
    },
  };
}
