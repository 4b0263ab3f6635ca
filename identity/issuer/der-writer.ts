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
  const body = parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts);
  const size = body.length;
  let header: number[];
  if (size < 0x80) header = [tag, size];
  else if (size < 0x100) header = [tag, 0x81, size];
  else if (size < 0x10000) header = [tag, 0x82, size >> 8, size & 0xff];
  else throw new Error('der: nothing in a certificate is that long');
  return Buffer.concat([Buffer.from(header), body]);
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
  const text = date
    .toISOString()
    .replace(/\.\d+Z$/, 'Z')
    .replace(/[-:T]/g, '');
  return date.getUTCFullYear() < 2050
    ? der(TAG.utcTime, Buffer.from(text.slice(2), 'latin1'))
    : der(TAG.generalizedTime, Buffer.from(text, 'latin1'));
}

export function extension(oid: string, critical: boolean, value: Uint8Array): Buffer {
  const flag = critical ? [der(TAG.boolean, Buffer.from([0xff]))] : [];
  return sequence(objectId(oid), ...flag, der(TAG.octetString, value));
}
