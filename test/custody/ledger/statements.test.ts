import { beforeAll, expect, test } from 'vitest';
import { decodeEntry } from '#custody/ledger/entry.ts';
import { openStatement, type Statement, signStatement } from '#custody/log/statement.ts';
import { thumbprintOf } from '#identity/x509/verify.ts';
import { noteSigner } from '../log/support.ts';
import { createTestSwarm, IDS, type Name, type TestSwarm } from '../support.ts';
import { createStory, createTestLedger, submission } from './support.ts';

const attester = noteSigner('city.example/attester');
const thief = noteSigner('city.example/thief');
const admits = (note: string) => openStatement(note, [attester.verifier], 1);

let swarm: TestSwarm;
beforeAll(async () => {
  swarm = await createTestSwarm();
});

function thumbprint(name: Name): string {
  const [leaf] = swarm.svid(name).certificates;
  if (leaf === undefined) throw new Error('no leaf');
  return thumbprintOf(leaf);
}
function issued(name: Name, id = IDS[name], by = attester): string {
  const statement: Statement = {
    kind: 'issuance',
    id,
    thumbprint: thumbprint(name),
    serial: '0a',
    nbf: 1,
    exp: 2,
    selectors: [],
  };
  return signStatement(statement, [by]);
}
const revoked = (name: Name) =>
  signStatement({ kind: 'revocation', thumbprint: thumbprint(name), reason: 'test' }, [attester]);

test('a statement of a pinned key is entered once, and stands there after a restart', async () => {
  const { ledger, storage } = createTestLedger(swarm, { admits });
  expect(await ledger.enter(issued('sensor'))).toEqual({
    ok: true,
    value: { index: 0, duplicate: false },
  });
  expect(await ledger.enter(issued('sensor'))).toMatchObject({ value: { duplicate: true } });
  const again = createTestLedger(swarm, { admits }).ledger;
  expect(await again.restore(storage.stored.values())).toEqual({ ok: true, value: 1 });
  expect(again.statements()).toEqual(ledger.statements());
  expect(await again.enter(issued('sensor'))).toMatchObject({
    value: { index: 0, duplicate: true },
  });
});

const NOT_ENTERED: readonly (readonly [string, () => string])[] = [
  ['of a key that is not pinned', () => issued('sensor', IDS.sensor, thief)],
  ['that is no note', () => 'x'],
  ['of another form', () => issued('sensor').replace('issuance', 'opinion')],
];
test.for(NOT_ENTERED)('a statement %s is not entered', async ([, note]) => {
  const { ledger } = createTestLedger(swarm, { admits });
  expect(await ledger.enter(note())).toMatchObject({ code: 'LEDGER_STATEMENT_REFUSED' });
  expect(ledger.size()).toBe(0);
});

test('without a pinned key nothing is entered', async () => {
  const { ledger } = createTestLedger(swarm);
  expect(await ledger.enter(issued('sensor'))).toMatchObject({ code: 'LEDGER_STATEMENT_REFUSED' });
});

test('a record is taken when its certificate was entered as issued to its sender, and not before', async () => {
  const { ledger } = createTestLedger(swarm, { admits });
  const record = createStory(swarm).read('a');
  expect(await ledger.submit(submission(record, 'a'))).toMatchObject({
    code: 'RECORD_SVID_NOT_LOGGED',
  });
  // To another identity is not to this one; the first word about a certificate counts.
  await ledger.enter(issued('sensor'));
  expect(await ledger.submit(submission(record, 'a'))).toMatchObject({ ok: true });
  const other = createTestLedger(swarm, { admits }).ledger;
  await other.enter(issued('sensor', IDS.action));
  await other.enter(issued('sensor'));
  expect(await other.submit(submission(record, 'a'))).toMatchObject({
    code: 'RECORD_SVID_NOT_LOGGED',
  });
});

test('records of a revoked certificate are refused at later indexes, and no statement takes it back', async () => {
  const { ledger } = createTestLedger(swarm, { admits });
  const story = createStory(swarm);
  const [before, after] = [story.read('a'), story.read('b')];
  await ledger.enter(issued('sensor'));
  expect(await ledger.submit(submission(before, 'a'))).toMatchObject({ ok: true });
  await ledger.enter(revoked('sensor'));
  expect(await ledger.submit(submission(after, 'b'))).toMatchObject({
    code: 'RECORD_SVID_REVOKED',
  });
  await ledger.enter(issued('sensor'));
  expect(await ledger.submit(submission(after, 'b'))).toMatchObject({
    code: 'RECORD_SVID_REVOKED',
  });
  // What was taken before stays.
  expect(await ledger.submit(submission(before, 'a'))).toMatchObject({
    value: { duplicate: true },
  });
});

test('a stored statement that is no note is not restored', () => {
  const bytes = Buffer.from('{"at":1,"index":0,"note":"x","type":"statement","v":1}');
  expect(decodeEntry(bytes)).toMatchObject({ code: 'LEDGER_ENTRY_INVALID' });
});
