import type { Random } from './random.ts';

/** No input grows beyond it, however it is changed. */
export const MAX_INPUT_BYTES = 64 * 1024;
/** Octets at the edges of what the formats tell apart: lengths, tags, signs, JSON's own marks. */
const EDGES = [
  0x00, 0x01, 0x1f, 0x20, 0x22, 0x2c, 0x2e, 0x2f, 0x30, 0x31, 0x3d, 0x5c, 0x7b, 0x7d, 0x7f, 0x80,
  0x81, 0x82, 0x84, 0xa0, 0xa3, 0xfe, 0xff,
] as const;

type Change = (bytes: Uint8Array, random: Random, others: readonly Uint8Array[]) => Uint8Array;

const join = (...parts: readonly Uint8Array[]) => new Uint8Array(Buffer.concat(parts));
const span = (bytes: Uint8Array, random: Random): [number, number] => {
  const start = random.below(bytes.length + 1);
  const length = random.below(random.pick([2, 8, 64, bytes.length + 1]));
  return [start, Math.min(bytes.length, start + length)];
};
const put = (bytes: Uint8Array, at: number, octet: number) => {
  const copy = bytes.slice();
  if (at < copy.length) copy[at] = octet;
  return copy;
};

const CHANGES: readonly Change[] = [
  // One bit, one octet.
  (bytes, random) => {
    const at = random.below(bytes.length);
    return put(bytes, at, (bytes[at] ?? 0) ^ (1 << random.below(8)));
  },
  (bytes, random) => put(bytes, random.below(bytes.length), random.pick(EDGES)),
  (bytes, random) => {
    const at = random.below(bytes.length);
    return put(bytes, at, (bytes[at] ?? 0) + random.pick([1, 255]));
  },
  // Cut, repeat, put in, take from elsewhere.
  (bytes, random) => {
    const [start, end] = span(bytes, random);
    return join(bytes.subarray(0, start), bytes.subarray(end));
  },
  (bytes, random) => bytes.slice(0, random.below(bytes.length + 1)),
  (bytes, random) => {
    const [start, end] = span(bytes, random);
    return join(bytes.subarray(0, end), bytes.subarray(start));
  },
  (bytes, random) => {
    const [start, end] = span(bytes, random);
    const piece = bytes.subarray(start, end);
    const times = 1 + random.below(random.pick([3, 40, 400]));
    const many = Array.from({ length: times }, () => piece);
    return join(bytes.subarray(0, start), ...many, bytes.subarray(end));
  },
  (bytes, random) => {
    const at = random.below(bytes.length + 1);
    return join(bytes.subarray(0, at), random.bytes(1 + random.below(8)), bytes.subarray(at));
  },
  (bytes, random, others) => {
    const other = random.pick(others);
    const [start, end] = span(other, random);
    const at = random.below(bytes.length + 1);
    return join(bytes.subarray(0, at), other.subarray(start, end), bytes.subarray(at));
  },
  (bytes, random, others) => {
    const at = random.below(bytes.length + 1);
    return join(bytes.subarray(0, at), random.pick(others).subarray(at));
  },
];

/** A valid input, changed in one to four ways; now and then bytes that never were one. */
export function mutate(seeds: readonly Uint8Array[], random: Random): Uint8Array {
  if (random.below(50) === 0) return random.bytes(random.below(300));
  let bytes = random.pick(seeds);
  for (let left = 1 + random.below(4); left > 0; left -= 1) {
    bytes = random.pick(CHANGES)(bytes, random, seeds).subarray(0, MAX_INPUT_BYTES);
  }
  return bytes;
}
