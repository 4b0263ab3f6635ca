import { createHash } from 'node:crypto';
import { beforeAll, describe, expect, test } from 'vitest';
import { tlogProofOf } from '#cli/evidence/document.ts';
import { openCheckpoint, witnessedAt } from '#custody/log/checkpoint.ts';
import { formatTlogProof } from '#custody/log/tlog-proof.ts';
import { createCase, policy } from '#test/custody/evidence/support.ts';
import { createTestSwarm } from '#test/custody/support.ts';

const sha256 = (...parts: readonly Uint8Array[]) =>
  createHash('sha256').update(Buffer.concat(parts)).digest();

/** As a verifier that shares nothing with this project reads it: RFC 9162, 2.1.3.2. */
function read(text: string) {
  const at = text.indexOf('\n\n');
  const [first, extra = '', index = '', ...path] = text.slice(0, at).split('\n');
  expect(first).toBe('c2sp.org/tlog-proof@v1');
  const leaf = Buffer.from(extra.replace(/^extra /, ''), 'base64');
  const note = text.slice(at + 2);
  const [, size = '', root] = note.split('\n');
  let hash = sha256(Buffer.of(0), leaf);
  let [place, last] = [Number(index.replace(/^index /, '')), Number(size) - 1];
  for (const line of path) {
    const sibling = Buffer.from(line, 'base64');
    const right = place % 2 === 1 || place === last;
    hash = right ? sha256(Buffer.of(1), sibling, hash) : sha256(Buffer.of(1), hash, sibling);
    while (right && place % 2 === 0 && place !== 0) [place, last] = [place >> 1, last >> 1];
    [place, last] = [place >> 1, last >> 1];
  }
  return { leaf: leaf.toString('utf8'), note, root, computed: hash.toString('base64'), last };
}

let made: Awaited<ReturnType<typeof createCase>>;
beforeAll(async () => {
  made = await createCase(await createTestSwarm());
  made.witness();
});
const linesOf = (checkpoints = made.checkpoints) =>
  made.lines({ action: made.act.id }, { checkpoints }).trimEnd().split('\n');

describe('a proof for verifiers of other logs (c2sp.org/tlog-proof)', () => {
  test('shows by itself that a record is in a tree that log and witnesses signed', () => {
    for (const [index, { id, jws }] of [made.read, made.finding, made.act].entries()) {
      const { leaf, note, root, computed, last } = read(tlogProofOf(linesOf(), id) ?? '');
      expect([computed, last]).toEqual([root, 0]);
      expect(JSON.parse(leaf)).toMatchObject({ type: 'record', index, jws });
      const opened = openCheckpoint(note, policy);
      expect(opened.ok && witnessedAt(opened.value, policy.quorum).ok).toBe(true);
    }
  });

  test('shows nothing when another leaf, place or hash stands in it', () => {
    const proof = tlogProofOf(linesOf(), made.read.id) ?? '';
    const wrong = (change: (text: string) => string) => {
      const { root, computed } = read(change(proof));
      return computed !== root;
    };
    expect(wrong((text) => text)).toBe(false);
    expect(wrong((text) => text.replace('index 0', 'index 1'))).toBe(true);
    expect(wrong((text) => text.replace(/extra \S\S\S\S/, 'extra AAAA'))).toBe(true);
    expect(wrong((text) => text.replace(/(index 0\n)..../, '$1AAAA'))).toBe(true);
  });

  test('of the only entry of a log has no hashes', () => {
    const leaf = Buffer.from('x');
    const text = formatTlogProof({ leaf, index: 0, path: [], checkpoint: 'o\n1\nr\n' });
    expect(text).toBe('c2sp.org/tlog-proof@v1\nextra eA==\nindex 0\n\no\n1\nr\n');
  });

  test('is not there while no checkpoint covers the record, or for what is no record', () => {
    expect(tlogProofOf(linesOf([]), made.act.id)).toBeUndefined();
    expect(tlogProofOf(linesOf(), 'A'.repeat(43) as typeof made.act.id)).toBeUndefined();
  });
});
