import { type KeyObject, sign, verify } from 'node:crypto';

/** ES256 (RFC 7518 3.4): ECDSA on P-256 with SHA-256, the signature as r ‖ s. */
const ENCODING = 'ieee-p1363';

/** Other keys are refused by name: Node would sign and verify with them too, under another rule. */
export function isP256(key: KeyObject): boolean {
  return key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1';
}

export function signEs256(key: KeyObject, text: string): Uint8Array {
  return sign('sha256', Buffer.from(text, 'latin1'), { key, dsaEncoding: ENCODING });
}

/** The caller has made sure that the key is a public P-256 key. */
export function verifyEs256(key: KeyObject, text: string, signature: Uint8Array): boolean {
  return verify('sha256', Buffer.from(text, 'latin1'), { key, dsaEncoding: ENCODING }, signature);
}

/** The same on another thread: whoever judges many records reads on meanwhile. */
export function verifyEs256Aside(
  key: KeyObject,
  text: string,
  signature: Uint8Array,
): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const options = { key, dsaEncoding: ENCODING } as const;
    verify('sha256', Buffer.from(text, 'latin1'), options, signature, (error, proven) =>
      error === null ? resolve(proven) : reject(error),
    );
  });
}
