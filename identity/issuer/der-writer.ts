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

const TIME_SIZE = { utc: 13, generalized: 15 } as const;

function writeDigits(into: Uint8Array, at: number, date: Date): void {
  const pair = (offset: number, value: number): void => {
    into[at + offset] = 0x30 + Math.floor(value / 10);
    into[at + offset + 1] = 0x30 + (value % 10);
  };
  pair(0, date.getUTCFullYear() % 100);
  pair(2, date.getUTCMonth() + 1);
  pair(4, date.getUTCDate());
  pair(6, date.getUTCHours());
  pair(8, date.getUTCMinutes());
  pair(10, date.getUTCSeconds());
  into[at + 12] = 0x5a;
}

/** A UTCTime of a year before 2050, over 15 octets. */
export function writeUtcTime(into: Uint8Array, at: number, date: Date): void {
  into[at] = TAG.utcTime;
  into[at + 1] = TIME_SIZE.utc;
  writeDigits(into, at + 2, date);
}

/** RFC 5280, 4.1.2.5: UTCTime through 2049, GeneralizedTime later; whole seconds, rounded down. */
export function time(date: Date): Buffer {
  const year = date.getUTCFullYear();
  if (year < 2050) {
    const out = Buffer.allocUnsafe(2 + TIME_SIZE.utc);
    writeUtcTime(out, 0, date);
    return out;
  }
  const out = Buffer.allocUnsafe(2 + TIME_SIZE.generalized);
  out[0] = TAG.generalizedTime;
  out[1] = TIME_SIZE.generalized;
  out.write(String(Math.floor(year / 100)), 2, 'latin1');
  writeDigits(out, 4, date);
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
