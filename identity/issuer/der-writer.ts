/** DER encodings that a certificate needs, as bytes. X.690, definite lengths only. */
export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  objectId: 0x06,
  sequence: 0x30,
  utcTime: 0x17,
  generalizedTime: 0x18,
} as const;

export function der(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  let size = 0;
  for (const part of parts) size += part.length;
  if (size > 0xffff) throw new Error('der: nothing in a certificate is that long');
  const header = size < 0x80 ? 2 : size < 0x100 ? 3 : 4;
  const out = Buffer.allocUnsafe(header + size);
  out[0] = tag;
  // The long form says in how many octets the length follows, and has no more of them than it needs.
  if (header > 2) out[1] = 0x80 | (header - 2);
  if (header > 3) out[2] = size >> 8;
  out[header - 1] = size & 0xff;
  let at = header;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

export function sequence(...parts: readonly Uint8Array[]): Buffer {
  return der(TAG.sequence, ...parts);
}

/** `1.2.840.10045.4.3.2`, as DER. */
export function objectId(dotted: string): Buffer {
  const [first = 0, second = 0, ...rest] = dotted.split('.').map(Number);
  const bytes = [first * 40 + second];
  for (const arc of rest) {
    const groups = [arc & 0x7f];
    for (let left = arc >>> 7; left > 0; left >>>= 7) groups.unshift((left & 0x7f) | 0x80);
    bytes.push(...groups);
  }
  return der(TAG.objectId, Buffer.from(bytes));
}

/** A positive integer from big-endian bytes: leading zeros dropped, one added before a high bit. */
export function positiveInteger(bytes: Uint8Array): Buffer {
  let start = 0;
  while (start < bytes.length - 1 && bytes[start] === 0) start += 1;
  const body = bytes.subarray(start);
  return ((body[0] ?? 0) & 0x80) === 0
    ? der(TAG.integer, body)
    : der(TAG.integer, Buffer.from([0]), body);
}

/** RFC 5280, 4.1.2.5: UTCTime through 2049, GeneralizedTime later; whole seconds, rounded down. */
export function time(date: Date): Buffer {
  const year = date.getUTCFullYear();
  const generalized = year >= 2050;
  const size = generalized ? 15 : 13;
  const out = Buffer.allocUnsafe(2 + size);
  out[0] = generalized ? TAG.generalizedTime : TAG.utcTime;
  out[1] = size;
  let at = 2;
  const twoDigits = (value: number): void => {
    out[at] = 0x30 + Math.floor(value / 10);
    out[at + 1] = 0x30 + (value % 10);
    at += 2;
  };
  if (generalized) twoDigits(Math.floor(year / 100));
  twoDigits(year % 100);
  twoDigits(date.getUTCMonth() + 1);
  twoDigits(date.getUTCDate());
  twoDigits(date.getUTCHours());
  twoDigits(date.getUTCMinutes());
  twoDigits(date.getUTCSeconds());
  out[at] = 0x5a;
  return out;
}

const TRUE = der(TAG.boolean, Buffer.of(0xff));

/** The part of an extension that is the same whatever its value: its OID and whether it is critical. */
export function extensionHead(oid: string, critical: boolean): Buffer {
  return Buffer.concat([objectId(oid), ...(critical ? [TRUE] : [])]);
}

export function extension(head: Uint8Array, value: Uint8Array): Buffer {
  return sequence(head, der(TAG.octetString, value));
}
