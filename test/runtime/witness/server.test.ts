import { expect, test } from 'vitest';
import { openCheckpoint } from '#custody/log/checkpoint.ts';
import { verifyFork } from '#custody/log/fork.ts';
import { parseVerifierKey } from '#custody/log/keys.ts';
import { formatWitnessRequest, type WitnessRequest } from '#custody/log/witness.ts';
import { createWitnessClient } from '#runtime/witness/client.ts';
import { logSigner, noteSigner, ORIGIN, testLog } from '#test/custody/log/support.ts';
import { value } from '../support.ts';
import { ask, checkpointPath, entries, places, request } from './support.ts';

const place = places();

async function setUp() {
  const at = await place();
  const witness = await at.start();
  const client = createWitnessClient({
    name: 'w',
    socketPath: at.socketPath,
    timeoutMs: 30_000,
  });
  const post = (body: string | Buffer) =>
    ask(at.socketPath, { method: 'POST', path: '/add-checkpoint', body });
  const add = (one: WitnessRequest) => post(formatWitnessRequest(one));
  return { ...at, witness, client, post, add };
}

const policyOf = (vkey: string) => ({
  origin: ORIGIN,
  log: [logSigner.verifier],
  witnesses: [value(parseVerifierKey(vkey))],
});

test('a witness answers 200 with its cosignature, and shows the checkpoint to whoever asks', async () => {
  const { add, witness, socketPath, cosigned } = await setUp();
  const log = testLog(entries(7));
  const answer = await add(request(log, 0));
  expect(answer.status).toBe(200);
  const note = log.head() + answer.body;
  expect(value(openCheckpoint(note, policyOf(witness.vkey))).cosignatures).toHaveLength(1);
  expect(cosigned).toEqual([7]);
  const shown = await ask(socketPath, { path: checkpointPath(ORIGIN) });
  expect(shown).toMatchObject({ status: 200, body: note });
});

test('the log learns what a witness remembers of it, also that it is nothing, and not from silence', async () => {
  const { add, witness, client } = await setUp();
  expect(await client.last(ORIGIN)).toEqual({});
  const log = testLog(entries(3));
  const answer = await add(request(log, 0));
  expect(await client.last(ORIGIN)).toEqual({ note: log.head() + answer.body });
  await witness.close();
  expect(await client.last(ORIGIN)).toBeUndefined();
});

test('each refusal has the status that c2sp.org/tlog-witness gives it', async () => {
  const { add, post, socketPath } = await setUp();
  const log = testLog(entries(9));
  expect((await add(request(log, 0, 5))).status).toBe(200);
  const good = request(log, 5, 9);
  const thief = testLog(entries(9), noteSigner(ORIGIN, 'note', 'of a thief'));
  const other = testLog(entries(9), noteSigner('other.example/ledger'));
  const foreign = other.head().replace(ORIGIN, 'other.example/ledger');
  const refused: readonly [string, Promise<{ status: number; body: string }>, number][] = [
    ['malformed', post('old five\n\nnothing'), 400],
    ['not UTF-8', post(Buffer.from([0x6f, 0x6c, 0x64, 0xff])), 400],
    ['an old size ahead of the checkpoint', add({ ...good, oldSize: 10 }), 400],
    ['a signature of another key', add({ ...good, checkpoint: thief.head() }), 403],
    ['another log', add({ ...good, checkpoint: foreign }), 404],
    ['a proof that leads nowhere', add({ ...good, proof: good.proof.toReversed() }), 422],
    ['another method', ask(socketPath, { method: 'PUT', path: '/add-checkpoint' }), 405],
    ['another path', ask(socketPath, { path: '/' }), 404],
    ['a log that is not watched', ask(socketPath, { path: checkpointPath('x') }), 404],
  ];
  for (const [what, answer, status] of refused) {
    expect((await answer).status, what).toBe(status);
  }
  const conflict = await add(request(log, 3, 9));
  expect(conflict).toEqual({ status: 409, type: 'text/x.tlog.size', body: '5\n' });
  // The honest twin of them all.
  expect((await add(good)).status).toBe(200);
});

test('a log that signed another history is refused, and the proof convinces whoever asks for it', async () => {
  const { add, socketPath, client, forks } = await setUp();
  const log = testLog(entries(7));
  await add(request(log, 0, 7));
  const rewritten = testLog([...entries(6), 'another last entry', 'and more', 'and more']);
  const same = await add({ oldSize: 7, proof: [], checkpoint: rewritten.head(7) });
  expect(same).toMatchObject({ status: 422, body: expect.stringMatching(/^WITNESS_FORK: /) });
  const longer = await add(request(rewritten, 7, 9));
  expect(longer).toMatchObject({ status: 422, body: expect.stringMatching(/^WITNESS_FORK: /) });
  const proofs = await client.forks();
  expect(proofs).toHaveLength(2);
  for (const proof of proofs) expect(verifyFork(proof, [logSigner.verifier])).toBe(true);
  expect(forks).toEqual([ORIGIN, ORIGIN]);
  expect((await ask(socketPath, { path: '/forks' })).type).toBe('application/json');
  // Told once each, however often it is tried.
  await add(request(rewritten, 7, 9));
  expect(forks).toHaveLength(2);
  log.tree.append('the log goes on');
  expect((await add(request(log, 7, 8))).status).toBe(200);
});

test('after a size that is a power of two another history is refused and not proven: its proof does not show the old root', async () => {
  const { add, forks } = await setUp();
  const log = testLog(entries(8));
  await add(request(log, 0, 8));
  const rewritten = testLog([...entries(7), 'another last entry', 'and more']);
  const longer = await add(request(rewritten, 8, 9));
  expect(longer).toMatchObject({ status: 422, body: expect.stringMatching(/^WITNESS_PROOF_/) });
  expect(forks).toEqual([]);
});

test('a truncated log is refused', async () => {
  const { add } = await setUp();
  const log = testLog(entries(8));
  await add(request(log, 0, 8));
  for (const oldSize of [0, 5]) {
    expect(await add(request(log, oldSize, 5))).toMatchObject({ status: 409, body: '8\n' });
  }
  expect((await add({ ...request(log, 5, 5), oldSize: 8 })).status).toBe(400);
  expect((await add(request(log, 8, 8))).status).toBe(200);
});

test('the client says what the witness said, and that nobody answers where nobody does', async () => {
  const { client, witness } = await setUp();
  const log = testLog(entries(9));
  expect(await client.add(request(log, 0, 5))).toMatchObject({ ok: true });
  expect(await client.add(request(log, 0, 9))).toMatchObject({
    code: 'WITNESS_SIZE_CONFLICT',
    size: 5,
  });
  expect(await client.add({ ...request(log, 5), proof: [] })).toMatchObject({
    code: 'WITNESS_PROOF_INVALID',
  });
  expect(await client.add(request(log, 5, 9))).toMatchObject({ ok: true });
  await witness.close();
  expect(await client.add(request(log, 9, 9))).toMatchObject({ code: 'WITNESS_UNREACHABLE' });
  expect(await client.forks()).toEqual([]);
});

test('a second process with the same socket does not start', async () => {
  const { open, add } = await setUp();
  expect(await open()).toMatchObject({ code: 'STATE_LOCKED' });
  expect((await add(request(testLog(entries(3)), 0))).status).toBe(200);
});
