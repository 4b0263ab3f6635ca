import { type KeyObject, verify } from 'node:crypto';
import { ecdsaToDer, signP256, verifyEcdsa } from '#identity/ecdsa.ts';

/** ES256 (RFC 7518 3.4): ECDSA on P-256 with SHA-256, the signature as r ‖ s. */
const HASH = 'sha256';

/** Other keys are refused by name: Node would sign and verify with them too, under another rule. */
export function isP256(key: KeyObject): boolean {
  return key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1';
}

export function signEs256(key: KeyObject, text: string): Uint8Array {
  return signP256(Buffer.from(text, 'latin1'), key);
}

/** The caller has made sure that the key is a public P-256 key, and the signature 64 octets. */
export function verifyEs256(key: KeyObject, text: string, signature: Uint8Array): boolean {
  return verifyEcdsa(HASH, Buffer.from(text, 'latin1'), key, signature);
}

/** The same on another thread: whoever judges many records reads on meanwhile. */
export function verifyEs256Aside(
  key: KeyObject,
  text: string,
  signature: Uint8Array,
): Promise<boolean> {
  const der = ecdsaToDer(signature);
  if (der === undefined) return Promise.resolve(false);
  return new Promise((resolve, reject) => {
    verify(HASH, Buffer.from(text, 'latin1'), key, der, (error, proven) =>
      error === null ? resolve(proven) : reject(error),
    );
  });
}
