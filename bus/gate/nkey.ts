import {
  createPrivateKey,
  createPublicKey,
  sign as edSign,
  verify as edVerify,
  type KeyObject,
} from 'node:crypto';

/**
 * NATS NKeys on node:crypto: Ed25519 keys as base32 of prefix, key and CRC-16. The library's own
 * implementation signs in plain JavaScript, about forty times slower than this at each connect.
 */
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ234567';
const PREFIX = { account: 0, user: 20 << 3, server: 13 << 3 } as const;
const SEED_PREFIX = 18 << 3;
const PKCS8_ED25519 = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI_ED25519 = Buffer.from('302a300506032b6570032100', 'hex');

export type NKeyKind = keyof typeof PREFIX;

/** A key pair: the public NKey as text and a signer; the seed stays inside. */
export interface NKey {
  /** `U…`, `A…` or `N…`, 56 characters. */
  readonly publicKey: string;
  sign(bytes: Uint8Array): Uint8Array;
}

export function base32(bytes: Uint8Array): string {
  let text = '';
  let bits = 0;
  let value = 0;
  for (const byte of bytes) {
    value = ((value << 8) | byte) & 0xffff;
    bits += 8;
    while (bits >= 5) {
      text += ALPHABET[(value >>> (bits - 5)) & 31];
      bits -= 5;
    }
  }
  return bits > 0 ? text + ALPHABET[(value << (5 - bits)) & 31] : text;
}

function fromBase32(text: string): Buffer | undefined {
  const bytes: number[] = [];
  let bits = 0;
  let value = 0;
  for (const character of text) {
    const digit = ALPHABET.indexOf(character);
    if (digit === -1) return undefined;
    value = ((value << 5) | digit) & 0xffff;
    bits += 5;
    if (bits >= 8) {
      bytes.push((value >>> (bits - 8)) & 0xff);
      bits -= 8;
    }
  }
  const decoded = Buffer.from(bytes);
  // One spelling per key: leftover bits must be zero.
  return base32(decoded) === text ? decoded : undefined;
}

/** CRC-16/XMODEM, as NKeys use it. */
function crc16(bytes: Uint8Array): number {
  let crc = 0;
  for (const byte of bytes) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit += 1) {
      crc = (crc & 0x8000) === 0 ? (crc << 1) & 0xffff : ((crc << 1) ^ 0x1021) & 0xffff;
    }
  }
  return crc;
}

function withCrc(body: Uint8Array): string {
  const crc = crc16(body);
  return base32(Buffer.concat([body, Buffer.from([crc & 0xff, crc >>> 8])]));
}

function withoutCrc(text: string, length: number): Buffer | undefined {
  const bytes = fromBase32(text);
  if (bytes === undefined || bytes.length !== length + 2) return undefined;
  const body = bytes.subarray(0, length);
  return bytes.readUInt16LE(length) === crc16(body) ? body : undefined;
}

function rawPublicKey(key: KeyObject): Buffer {
  return createPublicKey(key).export({ format: 'der', type: 'spki' }).subarray(-32);
}

/** Seed text (`SU…`, `SA…`) of 32 secret bytes. */
export function encodeSeed(kind: NKeyKind, secret: Uint8Array): string {
  const prefix = PREFIX[kind];
  const head = Buffer.from([SEED_PREFIX | (prefix >>> 5), (prefix & 31) << 3]);
  return withCrc(Buffer.concat([head, secret]));
}

/** Key pair of a seed. @throws Error (without the seed) when it is not a seed of that kind. */
export function nkeyFromSeed(kind: NKeyKind, seed: string): NKey {
  const body = withoutCrc(seed, 34);
  const prefix = PREFIX[kind];
  if (body === undefined || body[0] !== (SEED_PREFIX | (prefix >>> 5))) {
    throw new Error(`not an NKey seed of kind ${kind}`);
  }
  if (body[1] !== (prefix & 31) << 3) throw new Error(`not an NKey seed of kind ${kind}`);
  const key = createPrivateKey({
    key: Buffer.concat([PKCS8_ED25519, body.subarray(2)]),
    format: 'der',
    type: 'pkcs8',
  });
  return {
    publicKey: withCrc(Buffer.concat([Buffer.from([prefix]), rawPublicKey(key)])),
    sign: (bytes) => edSign(null, bytes, key),
  };
}

/** A fresh pair; `random(n)` gives n secret bytes. The seed is the caller's to keep secret. */
export function createNKey(
  kind: NKeyKind,
  random: (length: number) => Uint8Array,
): { readonly seed: string; readonly publicKey: string } {
  const seed = encodeSeed(kind, random(32));
  return { seed, publicKey: nkeyFromSeed(kind, seed).publicKey };
}

/** The Ed25519 key of a public NKey, or `undefined` when the text is not one of that kind. */
export function publicNKey(kind: NKeyKind, text: string): KeyObject | undefined {
  const body = withoutCrc(text, 33);
  if (body === undefined || body[0] !== PREFIX[kind]) return undefined;
  const der = Buffer.concat([SPKI_ED25519, body.subarray(1)]);
  return createPublicKey({ key: der, format: 'der', type: 'spki' });
}

export function verifyNKey(key: KeyObject, bytes: Uint8Array, signature: Uint8Array): boolean {
  return signature.length === 64 && edVerify(null, bytes, key, signature);
}
