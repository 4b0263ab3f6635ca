import { describe, expect, it } from 'vitest';
import { addCosignature, openCheckpoint } from '#custody/log/checkpoint.ts';
import { verifyFork } from '#custody/log/fork.ts';
import {
  createWitness,
  formatWitnessRequest,
  parseWitnessRequest,
  type WitnessRequest,
} from '#custody/log/witness.ts';
import { testClock } from '../support.ts';
import {
  logSigner,
  memoryWitnessStore,
  noteSigner,
  ORIGIN,
  testLog,
  witnessSigners,
} from './support.ts';

const entries = (count: number, mark = '') =>
  Array.from({ length: count }, (_, index) => `entry ${index}${mark}`);

function setUp() {
  const [signer] = witnessSigners;
  if (signer === undefined) throw new Error('no witness');
  const store = memoryWitnessStore();
  const clock = testClock(1_800_000_000_000);
  const logs = new Map([[ORIGIN, [logSigner.verifier]]]);
  const start = () => createWitness({ signer, logs, store, clock });
  return { signer, store, clock, start, witness: start() };
}

type Log = ReturnType<typeof testLog>;
const request = (log: Log, oldSize: number, size = log.tree.size()): WitnessRequest => ({
  oldSize,
  proof: oldSize <= size ? log.tree.consistency(oldSize, size) : [],
  checkpoint: log.head(size),
});
const policy = (keys = witnessSigners) => ({
  origin: ORIGIN,
  log: [logSigner.verifier],
  witnesses: keys.map(({ verifier }) => verifier),
});

describe('a witness (c2sp.org/tlog-witness)', () => {
  it('cosigns a log that only grows, with its own time', async () => {
    const { witness, clock, store } = setUp();
    const log = testLog(entries(20));
    let size = 0;
    for (const next of [3, 3, 4, 8, 8, 20]) {
      const answer = await witness.cosign(request(log, size, next));
      expect(answer, `${size} to ${next}`).toMatchObject({ ok: true });
      if (!answer.ok) return;
      const opened = openCheckpoint(addCosignature(log.head(next), answer.value), policy());
      expect(opened).toMatchObject({
        ok: true,
        value: { size: next, cosignatures: [{ name: 'city.example/w1', time: clock() / 1000 }] },
      });
      size = next;
      clock.advance(1000);
    }
    expect(store.raised).toEqual([]);
  });

  it('answers the same again to who asks again within a second, and stores nothing for it', async () => {
    const { witness, store, clock } = setUp();
    const log = testLog(entries(5));
    const first = await witness.cosign(request(log, 0));
    store.state.fail = true;
    expect(await witness.cosign(request(log, 5, 5))).toEqual(first);
    clock.advance(1000);
    expect(await witness.cosign(request(log, 5, 5))).toMatchObject({
      code: 'WITNESS_STORAGE_FAILED',
    });
  });

  it('refuses an old size that is not its own, and says its own', async () => {
    const { witness } = setUp();
    const log = testLog(entries(9));
    await witness.cosign(request(log, 0, 5));
    for (const oldSize of [0, 3, 6]) {
      expect(await witness.cosign(request(log, oldSize, 9))).toMatchObject({
        code: 'WITNESS_SIZE_CONFLICT',
        size: 5,
      });
    }
    expect(await witness.cosign(request(log, 5, 9))).toMatchObject({ ok: true });
  });

  it('refuses to go back, also to what it cosigned itself', async () => {
    const { witness } = setUp();
    const log = testLog(entries(9));
    await witness.cosign(request(log, 0, 5));
    await witness.cosign(request(log, 5, 9));
    expect(await witness.cosign(request(log, 9, 5))).toMatchObject({
      code: 'WITNESS_OLD_SIZE_AHEAD',
    });
    expect(await witness.cosign(request(log, 5, 5))).toMatchObject({
      code: 'WITNESS_SIZE_CONFLICT',
      size: 9,
    });
  });

  it('refuses another tree of the same size, and keeps what proves the fork', async () => {
    const { witness, store } = setUp();
    const [log, forked] = [testLog(entries(6)), testLog([...entries(5), 'other'])];
    await witness.cosign(request(log, 0));
    const answer = await witness.cosign(request(forked, 6));
    expect(answer).toMatchObject({ code: 'WITNESS_FORK' });
    expect(store.raised).toHaveLength(1);
    const [proof] = store.raised;
    if (proof === undefined) return;
    expect(verifyFork(proof, [logSigner.verifier])).toBe(true);
    // Nobody else than the log can have made it, and the honest log's own heads are no proof.
    expect(verifyFork(proof, [noteSigner(ORIGIN, 'note', 'x').verifier])).toBe(false);
    expect(verifyFork({ ...proof, second: proof.first }, [logSigner.verifier])).toBe(false);
    expect(await witness.cosign(request(log, 6))).toMatchObject({ ok: true });
  });

  it.each([
    ['rewrote its past', [...entries(2), 'other', ...entries(9).slice(3)]],
    [
      'was truncated and grew again',
      entries(9, '’').map((text, at) => (at < 4 ? `entry ${at}` : text)),
    ],
  ])('refuses a log that %s, and keeps what proves it', async (_name, rewritten) => {
    const { witness, store } = setUp();
    const [log, forked] = [testLog(entries(6)), testLog(rewritten)];
    await witness.cosign(request(log, 0));
    expect(await witness.cosign(request(forked, 6))).toMatchObject({ code: 'WITNESS_FORK' });
    const [proof] = store.raised;
    expect(proof && verifyFork(proof, [logSigner.verifier])).toBe(true);
    expect(proof && verifyFork({ ...proof, path: [] }, [logSigner.verifier])).toBe(false);
  });

  it('refuses a fork after a tree that is one complete subtree, where the path proves less', async () => {
    const { witness } = setUp();
    await witness.cosign(request(testLog(entries(8)), 0));
    const answer = await witness.cosign(request(testLog(entries(12, '’')), 8));
    expect(answer).toMatchObject({ code: 'WITNESS_PROOF_INVALID' });
  });

  it('accuses nobody for a proof that somebody else spoilt', async () => {
    const { witness, store } = setUp();
    const log = testLog(entries(9));
    await witness.cosign(request(log, 0, 5));
    const good = request(log, 5, 9);
    const [first, ...rest] = good.proof;
    for (const proof of [
      [],
      rest,
      [first ?? new Uint8Array(), ...good.proof],
      good.proof.toReversed(),
    ]) {
      expect(await witness.cosign({ ...good, proof })).toMatchObject({
        code: 'WITNESS_PROOF_INVALID',
      });
    }
    expect(store.raised).toEqual([]);
    expect(await witness.cosign(good)).toMatchObject({ ok: true });
    expect(await witness.cosign({ ...good, oldSize: 9 })).toMatchObject({
      code: 'WITNESS_PROOF_INVALID',
    });
  });

  it('asks for no proof from the empty tree, and takes none', async () => {
    const { witness } = setUp();
    const log = testLog(entries(5));
    const proof = log.tree.consistency(3, 5);
    expect(await witness.cosign({ ...request(log, 0), proof })).toMatchObject({
      code: 'WITNESS_PROOF_INVALID',
    });
  });

  it('signs only for logs that it watches, by their keys', async () => {
    const { witness, store } = setUp();
    const imposter = testLog(entries(3), noteSigner(ORIGIN, 'note', 'imposter'));
    expect(await witness.cosign(request(imposter, 0))).toMatchObject({
      code: 'WITNESS_LOG_UNSIGNED',
    });
    const honest = request(testLog(entries(3)), 0);
    const other = { ...honest, checkpoint: honest.checkpoint.replace(ORIGIN, 'city.example/x') };
    expect(await witness.cosign(other)).toMatchObject({ code: 'WITNESS_ORIGIN_UNKNOWN' });
    const altered = { ...honest, checkpoint: honest.checkpoint.replace('\n3\n', '\n4\n') };
    expect(await witness.cosign(altered)).toMatchObject({ code: 'WITNESS_LOG_UNSIGNED' });
    const broken = { ...honest, checkpoint: honest.checkpoint.replace('\n\n', '\n') };
    expect(await witness.cosign(broken)).toMatchObject({ code: 'WITNESS_REQUEST_MALFORMED' });
    expect(store.memories.size).toBe(0);
    expect(await witness.cosign(honest)).toMatchObject({ ok: true });
  });

  it('signs nothing that it could not store', async () => {
    const { witness, store } = setUp();
    const log = testLog(entries(3));
    store.state.fail = true;
    expect(await witness.cosign(request(log, 0))).toMatchObject({ code: 'WITNESS_STORAGE_FAILED' });
    store.state.fail = false;
    expect(await witness.cosign(request(log, 0))).toMatchObject({ ok: true });
  });

  it('remembers after a restart, and never goes back in time', async () => {
    const { witness, start, clock } = setUp();
    const log = testLog(entries(9));
    await witness.cosign(request(log, 0, 5));
    clock.advance(-7_200_000);
    const again = start();
    const answer = await again.cosign(request(log, 5, 9));
    if (!answer.ok) throw new Error(answer.code);
    const opened = openCheckpoint(addCosignature(log.head(9), answer.value), policy());
    expect(opened.ok && opened.value.cosignatures[0]?.time).toBe(1_800_000_000);
    const forked = testLog([...entries(8), 'x']);
    expect(await start().cosign(request(forked, 9))).toMatchObject({ code: 'WITNESS_FORK' });
  });

  it('judges requests that come at once one after the other', async () => {
    const { witness, store } = setUp();
    const log = testLog(entries(9));
    const forked = testLog([...entries(8), 'x']);
    const answers = await Promise.all([
      witness.cosign(request(log, 0)),
      witness.cosign(request(forked, 0)),
      witness.cosign(request(log, 0, 4)),
    ]);
    expect(answers.map((answer) => (answer.ok ? 'ok' : answer.code))).toEqual([
      'ok',
      'WITNESS_FORK',
      'WITNESS_SIZE_CONFLICT',
    ]);
    expect(store.memories.get(ORIGIN)?.size).toBe(9);
  });
});

describe('the request to a witness', () => {
  const log = testLog(entries(9));
  const good = request(log, 5);
  const body = formatWitnessRequest(good);

  it('is read as it is written', () => {
    expect(parseWitnessRequest(body)).toEqual({ ok: true, value: good });
    const first = request(log, 0);
    expect(parseWitnessRequest(formatWitnessRequest(first))).toEqual({ ok: true, value: first });
  });

  it.each<[string, string]>([
    ['no old size', body.slice(body.indexOf('\n') + 1)],
    ['a leading zero', body.replace('old 5', 'old 05')],
    ['a size beyond 2^53', body.replace('old 5', 'old 9007199254740993')],
    ['a short hash', body.replace(/\n[^\n]{4}/, '\n')],
    [
      '64 hashes',
      body.replace('old 5\n', `old 5\n${`${Buffer.alloc(32).toString('base64')}\n`.repeat(64)}`),
    ],
    ['no blank line', body.replaceAll('\n\n', '\n')],
    ['a megabyte', body + 'x'.repeat(1 << 20)],
  ])('with %s is malformed', (_name, malformed) => {
    expect(parseWitnessRequest(malformed)).toMatchObject({ code: 'WITNESS_REQUEST_MALFORMED' });
  });
});
