/**
 * A strict, bounded DER reader. Foreign bytes go through it before any library sees them, so it
 * accepts one encoding per value only: definite minimal lengths, low tag numbers, nothing left over.
 * No function throws; a malformed value is `undefined`.
 */
export interface DerNode {
  /** The identifier octet: class, constructed bit and number together. */
  readonly tag: number;
  /** Contents octets, a view on the input. */
  readonly value: Uint8Array;
  /** Identifier, length and contents, a view on the input. */
  readonly raw: Uint8Array;
}

export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  null: 0x05,
  oid: 0x06,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
} as const;

/** Context-specific tag `[n]`. */
export function contextTag(number: number, constructed: boolean): number {
  return (constructed ? 0xa0 : 0x80) | number;
}

interface Read {
  readonly node: DerNode;
  readonly end: number;
}

function readAt(bytes: Uint8Array, start: number): Read | undefined {
  const tag = bytes[start];
  const first = bytes[start + 1];
  // 0x1f announces a multi-byte tag number, which X.509 never uses.
  if (tag === undefined || first === undefined || (tag & 0x1f) === 0x1f) return undefined;
  let length = first;
  let offset = start + 2;
  if (first >= 0x80) {
    const count = first & 0x7f;
    // 0 is the indefinite form (BER only); 3 octets reach 16 MiB, beyond any bound set here.
    if (count === 0 || count > 3) return undefined;
    length = 0;
    for (let i = 0; i < count; i += 1) {
      const octet = bytes[offset + i];
      if (octet === undefined || (i === 0 && octet === 0)) return undefined;
      length = length * 256 + octet;
    }
    if (length < 0x80) return undefined;
    offset += count;
  }
  const end = offset + length;
  if (end > bytes.length) return undefined;
  return {
    node: { tag, value: bytes.subarray(offset, end), raw: bytes.subarray(start, end) },
    end,
  };
}

/** Reads exactly one value that fills the whole input. */
export function readDer(bytes: Uint8Array): DerNode | undefined {
  const read = readAt(bytes, 0);
  return read !== undefined && read.end === bytes.length ? read.node : undefined;
}

/** Reads values laid end to end, as in a constructed value or concatenated certificates; at most `limit`. */
export function readDerList(bytes: Uint8Array, limit: number): readonly DerNode[] | undefined {
  const nodes: DerNode[] = [];
  let offset = 0;
  while (offset < bytes.length) {
    const read = nodes.length < limit ? readAt(bytes, offset) : undefined;
    if (read === undefined) return undefined;
    nodes.push(read.node);
    offset = read.end;
  }
  return nodes;
}

/** The members of a constructed value with this tag. */
export function children(
  node: DerNode | undefined,
  tag: number,
  limit = 64,
): readonly DerNode[] | undefined {
  return node?.tag === tag ? readDerList(node.value, limit) : undefined;
}

/** Dotted decimal. Arcs beyond 2^31 are malformed: nothing that is compared here has them. */
export function readOid(node: DerNode | undefined): string | undefined {
  if (node?.tag !== TAG.oid || node.value.length === 0 || node.value.length > 64) return undefined;
  const arcs: number[] = [];
  let arc = 0;
  let starts = true;
  for (const octet of node.value) {
    if ((starts && octet === 0x80) || arc >= 2 ** 24) return undefined;
    arc = arc * 128 + (octet & 0x7f);
    starts = (octet & 0x80) === 0;
    if (!starts) continue;
    if (arcs.length === 0) {
      const top = Math.min(Math.floor(arc / 40), 2);
      arcs.push(top, arc - top * 40);
    } else {
      arcs.push(arc);
    }
    arc = 0;
  }
  return starts ? arcs.join('.') : undefined;
}

/** DER knows one true and one false. */
export function readBoolean(node: DerNode | undefined): boolean | undefined {
  if (node?.tag !== TAG.boolean || node.value.length !== 1) return undefined;
  const octet = node.value[0];
  return octet === 0xff ? true : octet === 0x00 ? false : undefined;
}

/** Two's complement contents of a minimal INTEGER. */
export function readInteger(node: DerNode | undefined): Uint8Array | undefined {
  if (node?.tag !== TAG.integer) return undefined;
  const [first, second] = node.value;
  if (first === undefined) return undefined;
  if (second !== undefined && (first === 0x00 ? second < 0x80 : first === 0xff && second >= 0x80)) {
    return undefined;
  }
  return node.value;
}

/** A non-negative INTEGER below 2^31. */
export function readSmallInteger(node: DerNode | undefined): number | undefined {
  const bytes = readInteger(node);
  if (bytes === undefined || bytes.length > 4 || (bytes[0] ?? 0x80) >= 0x80) return undefined;
  return bytes.reduce((sum, octet) => sum * 256 + octet, 0);
}

/** Named bits of a BIT STRING, bit 0 first; DER drops trailing zero bits. */
export function readNamedBits(node: DerNode | undefined): readonly boolean[] | undefined {
  if (node?.tag !== TAG.bitString) return undefined;
  const [unused, ...octets] = node.value;
  if (unused === undefined || unused > 7 || octets.length > 4) return undefined;
  const last = octets.at(-1);
  if (last === undefined) return unused === 0 ? [] : undefined;
  if (((last >> unused) & 1) !== 1 || (last & ((1 << unused) - 1)) !== 0) return undefined;
  const bits = octets.flatMap((octet) =>
    [7, 6, 5, 4, 3, 2, 1, 0].map((i) => (octet >> i) % 2 === 1),
  );
  return bits.slice(0, bits.length - unused);
}

const UTC_TIME = /^(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/;
const GENERALIZED_TIME = /^(\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/;

/** UTCTime or GeneralizedTime in the one form that RFC 5280 4.1.2.5 allows: seconds, no fraction, Z. */
export function readTime(node: DerNode | undefined): Date | undefined {
  if (node === undefined || node.value.length > 15) return undefined;
  const text = Buffer.from(node.value).toString('latin1');
  const short = node.tag === TAG.utcTime;
  if (!short && node.tag !== TAG.generalizedTime) return undefined;
  const parts = (short ? UTC_TIME : GENERALIZED_TIME).exec(text)?.slice(1).map(Number);
  if (parts === undefined) return undefined;
  const [y = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts;
  const year = short ? (y >= 50 ? 1900 + y : 2000 + y) : y;
  // RFC 5280: dates through 2049 are UTCTime. Two spellings of one date are not accepted.
  if (!short && year < 2050) return undefined;
  const date = new Date(Date.UTC(year, month - 1, day, hour, minute, second));
  const same =
    date.getUTCMonth() === month - 1 &&
    date.getUTCDate() === day &&
    date.getUTCHours() === hour &&
    date.getUTCMinutes() === minute &&
    date.getUTCSeconds() === second;
  return same ? date : undefined;
}
