import { constants, type KeyObject, sign } from 'node:crypto';

export type Part = string | Buffer | object;

/** A part as it is to be signed: objects become JSON, texts and bytes stay what they are. */
export function part(value: Part): string {
  const isBytes = typeof value === 'string' || Buffer.isBuffer(value);
  return Buffer.from(isBytes ? value : JSON.stringify(value)).toString('base64url');
}

/** How an algorithm signs; ours issues one of them, and a validator must take nine. */
export function signature(algorithm: string, input: string, key: KeyObject): Buffer {
  const hash = `sha${algorithm.slice(2, 5)}`;
  const bytes = Buffer.from(input);
  switch (algorithm.slice(0, 2)) {
    case 'ES':
      return sign(hash, bytes, { key, dsaEncoding: 'ieee-p1363' });
    case 'PS':
      return sign(hash, bytes, {
        key,
        padding: constants.RSA_PKCS1_PSS_PADDING,
        saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
      });
    case 'RS':
      return sign(hash, bytes, key);
    default:
      return sign(null, bytes, key);
  }
}

/** Three parts signed as they are, whatever they are. */
export function jws(algorithm: string, key: KeyObject, header: Part, claims: Part): string {
  const input = `${part(header)}.${part(claims)}`;
  return `${input}.${signature(algorithm, input, key).toString('base64url')}`;
}
