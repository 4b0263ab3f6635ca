import { type KeyObject, sign } from 'node:crypto';
import { children, readDer, TAG } from '#identity/x509/der.ts';

/** Writes one DER value; also used to write the forms that a strict reader refuses. */
export function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const value = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([tag]), lengthOf(value.length), value]);
}

function lengthOf(length: number): Buffer {
  if (length < 0x80) return Buffer.from([length]);
  const hex = length.toString(16);
  const octets = Buffer.from(hex.length % 2 === 0 ? hex : `0${hex}`, 'hex');
  return Buffer.concat([Buffer.from([0x80 | octets.length]), octets]);
}

export function oid(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const octets = [first * 40 + second, ...rest].flatMap((arc) => {
    const groups = [arc & 0x7f];
    for (let left = arc >>> 7; left > 0; left >>>= 7) groups.unshift((left & 0x7f) | 0x80);
    return groups;
  });
  return der(TAG.oid, Buffer.from(octets));
}

export const TRUE = der(TAG.boolean, Buffer.from([0xff]));
export const FALSE = der(TAG.boolean, Buffer.from([0x00]));

/** One X.509 extension around a DER value. */
export function extension(dotted: string, value: Uint8Array, critical?: Uint8Array): Buffer {
  const parts = critical === undefined ? [] : [critical];
  return der(TAG.sequence, oid(dotted), ...parts, der(TAG.octetString, value));
}

/** The eight fields of a version 3 TBSCertificate, each with its identifier and length. */
export function tbsFields(certificate: Uint8Array): Uint8Array[] {
  const [tbs] = children(readDer(certificate), TAG.sequence) ?? [];
  const fields = children(tbs, TAG.sequence);
  if (fields === undefined) throw new Error('not a certificate');
  return fields.map(({ raw }) => raw);
}

/** The extensions of a certificate, each as a whole. */
export function extensionsOf(certificate: Uint8Array): Uint8Array[] {
  const field = readDer(tbsFields(certificate)[7] ?? new Uint8Array());
  const list = children(readDer(field?.value ?? new Uint8Array()), TAG.sequence);
  return (list ?? []).map(({ raw }) => raw);
}

/** Changes fields of a certificate and signs the result, as an issuer with a fault would. */
export function resign(
  certificate: Uint8Array,
  key: KeyObject,
  edit: (fields: Uint8Array[]) => readonly Uint8Array[],
  hash = 'sha256',
): Buffer {
  const fields = edit(tbsFields(certificate));
  const tbs = der(TAG.sequence, ...fields);
  const algorithm = fields.length === 8 ? fields[2] : fields[1];
  if (algorithm === undefined) throw new Error('no algorithm');
  const signature = sign(hash, tbs, key);
  return der(TAG.sequence, tbs, algorithm, der(TAG.bitString, Buffer.from([0]), signature));
}

/** As `resign`, with another list of extensions. */
export function withExtensions(
  certificate: Uint8Array,
  key: KeyObject,
  edit: (extensions: Uint8Array[]) => readonly Uint8Array[],
): Buffer {
  return resign(certificate, key, (fields) => [
    ...fields.slice(0, 7),
    der(0xa3, der(TAG.sequence, ...edit(extensionsOf(certificate)))),
  ]);
}
