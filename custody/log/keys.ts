import {
  createHash,
  createPrivateKey,
  createPublicKey,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import { decodeBase64, encodeBase64 } from '../base64url.ts';
import type { NoteCode } from './codes.ts';
import { isKeyName, type Note, type NoteSignature } from './note.ts';

/**
 * What a key signs with: `note`, Ed25519 over the text (type 0x01 of c2sp.org/signed-note);
 * `cosignature`, Ed25519 over time and text (type 0x04, c2sp.org/tlog-cosignature).
 */
export type KeyUse = 'note' | 'cosignature';

const TYPES: Readonly<Record<KeyUse, number>> = { note: 0x01, cosignature: 0x04 };
const PUBLIC_BYTES = 32;
const SIGNATURE_BYTES = 64;
const TIME_BYTES = 8;

/** A key that is pinned. Name and id together choose it; the public key decides. */
export interface VerifierKey {
  readonly name: string;
  /** 4 bytes, lower-case hex. */
  readonly keyId: string;
  readonly use: KeyUse;
  readonly publicKey: KeyObject;
  /** `name+id+base64(type ‖ key)`, the one spelling. */
  readonly vkey: string;
}

export interface NoteSigner {
  readonly verifier: VerifierKey;
  /** Signs the text of a note; `time`, seconds since the epoch, goes with a cosignature only. */
  sign(text: string, time?: number): NoteSignature;
}

function keyIdOf(name: string, typed: Uint8Array): string {
  const hash = createHash('sha256').update(name).update('\n').update(typed).digest();
  return hash.subarray(0, 4).toString('hex');
}

function rawOf(key: KeyObject): Buffer {
  return Buffer.from(key.export({ format: 'jwk' }).x ?? '', 'base64url');
}

function verifierOf(name: string, use: KeyUse, raw: Uint8Array, publicKey: KeyObject): VerifierKey {
  const typed = Buffer.concat([Buffer.of(TYPES[use]), raw]);
  const keyId = keyIdOf(name, typed);
  return { name, keyId, use, publicKey, vkey: `${name}+${keyId}+${encodeBase64(typed)}` };
}

/**
 * What one key is counted by: its public part, base64url. Names are whatever its holder likes: under
 * two of them it is still one key, with one holder.
 */
export function publicKeyOf({ publicKey }: VerifierKey): string {
  return rawOf(publicKey).toString('base64url');
}

/** Reads a verifier key; its id must be the one that its name and key give. */
export function parseVerifierKey(text: string): Outcome<VerifierKey, NoteCode> {
  const invalid = (detail: string) => refuse('NOTE_KEY_INVALID' as const, detail);
  const first = text.indexOf('+');
  const second = text.indexOf('+', first + 1);
  if (first === -1 || second === -1) return invalid('a verifier key is name+id+key');
  const name = text.slice(0, first);
  const typed = decodeBase64(text.slice(second + 1));
  if (!isKeyName(name)) return invalid('the name of a key has no spaces');
  if (typed?.length !== 1 + PUBLIC_BYTES) return invalid('the key is not an Ed25519 key');
  const use =
    typed[0] === TYPES.note ? 'note' : typed[0] === TYPES.cosignature ? 'cosignature' : undefined;
  if (use === undefined) return invalid('the type of the key is neither 1 nor 4');
  if (text.slice(first + 1, second) !== keyIdOf(name, typed)) {
    return invalid('the id is not that of this name and key');
  }
  const raw = typed.subarray(1);
  try {
    const jwk = { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(raw).toString('base64url') };
    return accept(verifierOf(name, use, raw, createPublicKey({ key: jwk, format: 'jwk' })));
  } catch {
    return invalid('the key is not an Ed25519 key');
  }
}

/** @throws Error when the key is not a private Ed25519 key or the name not one: a bug. */
export function createNoteSigner(options: {
  readonly name: string;
  readonly use: KeyUse;
  readonly key: KeyObject;
}): NoteSigner {
  const { name, use, key } = options;
  if (!isKeyName(name)) throw new Error('note signer: the name of a key has no spaces and no plus');
  if (key.type !== 'private' || key.asymmetricKeyType !== 'ed25519') {
    throw new Error('note signer: not a private Ed25519 key');
  }
  const publicKey = createPublicKey(key);
  const verifier = verifierOf(name, use, rawOf(publicKey), publicKey);
  return {
    verifier,
    sign(text, time) {
      const { keyId } = verifier;
      if (use === 'note') return { name, keyId, signature: sign(null, Buffer.from(text), key) };
      if (time === undefined || !Number.isSafeInteger(time) || time <= 0) {
        throw new Error('note signer: a cosignature says when');
      }
      const stamp = Buffer.alloc(TIME_BYTES);
      stamp.writeBigUInt64BE(BigInt(time));
      const signature = sign(null, cosigned(text, time), key);
      return { name, keyId, signature: Buffer.concat([stamp, signature]) };
    },
  };
}

/** The message of cosignature/v1: its first line is no origin's, so it is never a checkpoint. */
function cosigned(text: string, time: number): Buffer {
  return Buffer.from(`cosignature/v1\ntime ${time}\n${text}`);
}

/** `true`, or for a cosignature its time in seconds; `false` when it does not verify. */
export function verifySignature(
  key: VerifierKey,
  text: string,
  { signature }: NoteSignature,
): number | boolean {
  if (key.use === 'note') {
    if (signature.length !== SIGNATURE_BYTES) return false;
    return verify(null, Buffer.from(text), key.publicKey, signature);
  }
  if (signature.length !== TIME_BYTES + SIGNATURE_BYTES) return false;
  const time = Number(Buffer.from(signature).readBigUInt64BE());
  // Zero would be a statement without a time, which this type has not.
  if (!Number.isSafeInteger(time) || time === 0) return false;
  const proven = verify(null, cosigned(text, time), key.publicKey, signature.subarray(TIME_BYTES));
  return proven ? time : false;
}

/** A pinned key that signed a note; `time` is a cosignature's, in seconds. */
export interface SignedBy {
  readonly key: VerifierKey;
  readonly time?: number;
}

/**
 * Which of the keys signed. Unknown signatures are ignored, as the format asks. One that bears
 * name and id of a known key and does not verify spoils the note: somebody altered it.
 */
export function verifyNote(
  note: Note,
  keys: readonly VerifierKey[],
): Outcome<readonly SignedBy[], NoteCode> {
  const signed: SignedBy[] = [];
  for (const signature of note.signatures) {
    const key = keys.find(
      ({ name, keyId }) => name === signature.name && keyId === signature.keyId,
    );
    if (key === undefined) continue;
    const proven = verifySignature(key, note.text, signature);
    if (proven === false) {
      return refuse('NOTE_SIGNATURE_INVALID', `the signature of ${key.name} does not verify`);
    }
    signed.push(typeof proven === 'number' ? { key, time: proven } : { key });
  }
  return accept(signed);
}

/** A private key from its 32-byte seed (RFC 8032 5.1.5), as key files of the note format keep it. */
export function privateKeyFromSeed(seed: Uint8Array): KeyObject {
  const prefix = Buffer.from('302e020100300506032b657004220420', 'hex');
  return createPrivateKey({ key: Buffer.concat([prefix, seed]), format: 'der', type: 'pkcs8' });
}
