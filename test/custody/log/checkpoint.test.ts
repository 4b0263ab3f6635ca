import { describe, expect, it } from 'vitest';
import {
  addCosignature,
  cosign,
  formatCheckpoint,
  type LogPolicy,
  openCheckpoint,
  parseCheckpoint,
  signCheckpoint,
  witnessedAt,
} from '#custody/log/checkpoint.ts';
import { emptyRoot } from '#custody/log/hash.ts';
import type { NoteSigner } from '#custody/log/keys.ts';
import { logSigner, noteSigner, ORIGIN, testLog, witnessSigners } from './support.ts';

const { tree } = testLog(['a', 'b', 'c']);
const checkpoint = { origin: ORIGIN, size: 3, root: tree.root() };
const text = formatCheckpoint(checkpoint);
const policy: LogPolicy = {
  origin: ORIGIN,
  log: [logSigner.verifier],
  witnesses: witnessSigners.map(({ verifier }) => verifier),
  quorum: 2,
};
const signed = signCheckpoint(checkpoint, logSigner);
const cosigned = (...by: readonly (readonly [NoteSigner | undefined, number])[]) =>
  by.reduce((note, [signer, time]) => {
    if (signer === undefined) throw new Error('no such witness');
    return addCosignature(note, cosign(text, signer, time));
  }, signed);
const timeOf = (note: string, quorum = 2) => {
  const opened = openCheckpoint(note, policy);
  return opened.ok ? witnessedAt(opened.value, quorum) : opened;
};
const [w1, w2, w3] = witnessSigners;

describe('the text of a checkpoint (c2sp.org/tlog-checkpoint)', () => {
  it('is read as it is written', () => {
    expect(parseCheckpoint(text)).toEqual({ ok: true, value: checkpoint });
    const empty = { origin: ORIGIN, size: 0, root: emptyRoot() };
    expect(parseCheckpoint(formatCheckpoint(empty))).toEqual({ ok: true, value: empty });
  });

  it.each<[string, string]>([
    ['an empty origin', text.replace(ORIGIN, '')],
    ['a leading zero', text.replace('\n3\n', '\n03\n')],
    ['a sign', text.replace('\n3\n', '\n+3\n')],
    ['a hexadecimal size', text.replace('\n3\n', '\n0x3\n')],
    ['a size beyond 2^53', text.replace('\n3\n', '\n9007199254740993\n')],
    ['a short root', text.replace(/\n.{4}(.*=\n)/, '\n$1')],
    ['base64url', text.replace('\n3\n', '\n3\n-')],
    ['an extension line', `${text}extension\n`],
    ['an empty line', `${text}\n`],
    ['no newline at the end', text.slice(0, -1)],
    ['a root of the empty tree that is not', text.replace('\n3\n', '\n0\n')],
  ])('with %s is malformed', (_name, malformed) => {
    expect(parseCheckpoint(malformed)).toMatchObject({ code: 'CHECKPOINT_MALFORMED' });
  });
});

describe('a checkpoint and its witnesses', () => {
  it('is trusted at the quorum-th smallest time', () => {
    const note = cosigned([w1, 300], [w2, 100], [w3, 200]);
    expect(timeOf(note, 1)).toEqual({ ok: true, value: 100 });
    expect(timeOf(note, 2)).toEqual({ ok: true, value: 200 });
    expect(timeOf(note, 3)).toEqual({ ok: true, value: 300 });
  });

  it('is not made earlier by fewer liars than the quorum', () => {
    expect(timeOf(cosigned([w1, 1], [w2, 5000], [w3, 5001]))).toEqual({ ok: true, value: 5000 });
  });

  it('needs as many witnesses as the quorum, each counted once', () => {
    expect(timeOf(signed)).toMatchObject({ code: 'CHECKPOINT_QUORUM_MISSING' });
    expect(timeOf(cosigned([w1, 5]))).toMatchObject({ code: 'CHECKPOINT_QUORUM_MISSING' });
    expect(timeOf(cosigned([w1, 5], [w1, 6]))).toMatchObject({ code: 'CHECKPOINT_QUORUM_MISSING' });
    const stranger = noteSigner('city.example/w9', 'cosignature');
    expect(timeOf(cosigned([w1, 5], [stranger, 6]))).toMatchObject({
      code: 'CHECKPOINT_QUORUM_MISSING',
    });
    expect(timeOf(cosigned([w1, 5], [stranger, 6], [w3, 7]))).toEqual({ ok: true, value: 7 });
  });

  it('counts one witness under two names once', () => {
    const note = cosigned([w1, 5], [w2, 6]);
    const [first] = policy.witnesses;
    if (first === undefined) throw new Error('no witness');
    const twice = { ...policy, witnesses: [first, { ...first, name: 'x' }] };
    const opened = openCheckpoint(note, twice);
    expect(opened.ok && opened.value.cosignatures).toEqual([{ name: first.name, time: 5 }]);
  });

  it('falls when one cosignature of a known witness is altered', () => {
    const note = cosigned([w1, 300], [w2, 100]);
    const other = cosigned([w1, 301]).split('\n').at(-2) ?? '';
    const mixed = note.replace(
      /— city.example\/w1 .*/,
      (line) => `${line.slice(0, -60)}${other.slice(-60)}`,
    );
    expect(timeOf(mixed)).toMatchObject({ code: 'NOTE_SIGNATURE_INVALID' });
  });

  it('is signed by the log, not by a witness or a cosignature in its name', () => {
    const imposter = noteSigner(ORIGIN, 'note', 'imposter');
    expect(timeOf(signCheckpoint(checkpoint, imposter))).toMatchObject({ code: 'NOTE_UNSIGNED' });
  });

  it('never says more than the log signed: altered origin, size or root', () => {
    const note = cosigned([w1, 300], [w2, 100]);
    for (const altered of [
      note.replace('\n3\n', '\n4\n'),
      note.replace(/\n([A-Za-z0-9+/]{43}=)\n/, `\n${Buffer.alloc(32).toString('base64')}\n`),
    ]) {
      expect(altered).not.toBe(note);
      expect(timeOf(altered)).toMatchObject({ code: 'NOTE_SIGNATURE_INVALID' });
    }
    expect(timeOf(note.replace(ORIGIN, 'city.example/other'))).toMatchObject({
      code: 'CHECKPOINT_ORIGIN_MISMATCH',
    });
  });
});
