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
