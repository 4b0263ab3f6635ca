import { X509Certificate } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { RECORD_CODES } from '#custody/codes.ts';
import { createReplayCache } from '#custody/record/replay.ts';
import { createSequenceTracker } from '#custody/record/sequence.ts';
import { createSvidCache } from '#custody/svid-cache.ts';
import { spiffeId } from '#identity/spiffe-id.ts';
import { verifyX509Svid } from '#identity/x509/verify.ts';
import { receive } from './support.ts';
import { buildVectors } from './vectors/build.ts';
import type { Vector, VectorKeys, VectorMessage } from './vectors/format.ts';

const folder = new URL('vectors/', import.meta.url);
const read = (path: string) => readFileSync(new URL(path, folder), 'utf8');
const keys = JSON.parse(read('keys.json')) as VectorKeys;
const vectorsIn = (kind: 'good' | 'bad') =>
  readdirSync(new URL(kind, folder)).map(
    (name) => [name, JSON.parse(read(`${kind}/${name}`)) as Vector] as const,
  );

const bundles = new Map(
  Object.entries(keys.trust).map(([trustDomain, roots]) => [
    trustDomain,
    {
      trustDomain,
      authorities: roots.map((der) => new X509Certificate(Buffer.from(der, 'base64'))),
    },
  ]),
);

/** One receiver, fresh for each vector. */
function judge(vector: Vector) {
  const clock = () => vector.now;
  const svids = createSvidCache({ verify: (chain, at) => verifyX509Svid(chain, bundles, at) });
  const replays = createReplayCache({ clock });
  const sequences = createSequenceTracker();
  const take = (message: VectorMessage) =>
    receive(
      { ...message, payload: Buffer.from(message.payload, 'base64') },
      spiffeId(vector.receiver.id),
      svids,
      { now: vector.now, receiverStart: vector.receiver.start, replays, sequences },
    );
  for (const message of vector.before) {
    const before = take(message);
    if (!before.ok) throw new Error(`a message before was refused: ${before.code}`);
  }
  return take(vector.message);
}

describe('vectors: messages that must be accepted', () => {
  it.each(vectorsIn('good'))('%s', (_name, vector) => {
    const result = judge(vector);
    expect(result).toMatchObject({ ok: true });
    if (!result.ok) return;
    const { id, svid, gap } = result.value;
    expect({ signer: svid.id, id, gap }).toEqual(vector.expect);
  });
});

describe('vectors: messages that must be refused, with the code they name', () => {
  it.each(vectorsIn('bad'))('%s', (_name, vector) => {
    const result = judge(vector);
    expect(result).toMatchObject({ ok: false, ...vector.expect });
  });
});

describe('vectors: the folder', () => {
  it('is what the script makes from the fixed keys', () => {
    const { files } = buildVectors(keys);
    const stored = [...vectorsIn('good'), ...vectorsIn('bad')].length;
    expect(stored).toBe(files.size);
    for (const [path, vector] of files) expect(JSON.parse(read(path)), path).toEqual(vector);
  });

  it('has a vector for every code that one message can get', () => {
    // These need another state of the receiver; record.test.ts has them.
    const elsewhere = new Set([
      'RECORD_KEY_INVALID',
      'RECORD_SVID_REVOKED',
      'RECORD_SVID_NOT_LOGGED',
      'RECORD_SVID_NOT_VALID',
      'RECORD_KIND_NOT_ALLOWED',
      'RECORD_REPLAY_CACHE_FULL',
    ]);
    const seen = new Set(
      vectorsIn('bad').map(([, { expect: expected }]) => 'code' in expected && expected.code),
    );
    const unseen = Object.keys(RECORD_CODES).filter((code) => !seen.has(code));
    expect(new Set(unseen)).toEqual(elsewhere);
  });

  it('keeps one record id when the signature is rewritten', () => {
    const [root, other] = ['good/root.json', 'good/malleated-signature.json'].map(
      (path) => JSON.parse(read(path)) as Vector,
    );
    expect(other?.expect).toEqual(root?.expect);
    expect(other?.message.headers).not.toEqual(root?.message.headers);
  });
});
