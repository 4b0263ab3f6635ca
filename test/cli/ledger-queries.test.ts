import { afterEach, describe, expect, test } from 'vitest';
import type { BusRequest } from '#bus/http-message.ts';
import { verifyRecorded } from '#custody/ledger/recorded.ts';
import { createTestLedger, submission } from '#test/custody/ledger/support.ts';
import { policy, testHeads, testWitnesses } from '#test/custody/ledger/witnesses.ts';
import { createTestSwarm, reading } from '#test/custody/support.ts';
import { allowAll, policyOf, type Rule } from '#test/services/world.ts';
import { keepHeads } from '../../cli/wiring/ledger-heads.ts';
import { answerLedgerQuery, RECORDED_PATH } from '../../cli/wiring/ledger-queries.ts';

const asker = {
  id: 'spiffe://city.example/service/mcp',
  token: 'service-mcp',
  kind: 'service',
  role: 'mcp',
  name: 'mcp',
} as never;

const undo: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const step of undo.splice(0)) await step();
});

async function opened(rule: Rule = allowAll) {
  const swarm = await createTestSwarm();
  const { ledger, storage } = createTestLedger(swarm);
  const witnesses = testWitnesses(swarm.clock);
  const doubts: string[] = [];
  const keeper = keepHeads({
    ledger,
    heads: testHeads(ledger, witnesses).heads,
    clock: swarm.clock,
    onDoubt: (code) => doubts.push(code),
    onRefuted: (code) => doubts.push(code),
  });
  undo.push(() => keeper.close());
  const record = swarm.signer('sensor').sign(reading('x'));
  const ask = async (id: string = record.id, waitMs?: number) => {
    const body = JSON.stringify({ id });
    const request: BusRequest = { method: 'POST', path: RECORDED_PATH, contentType: '', body };
    const { status, body: text } = await answerLedgerQuery(
      { get: ledger.get, prove: keeper.prove },
      policyOf(rule),
      asker,
      request,
      waitMs,
    );
    return { status, answer: JSON.parse(text) as unknown };
  };
  const judge = (answer: unknown) =>
    verifyRecorded(answer, { id: record.id, policy, now: swarm.clock(), maxAgeMs: 10_000 });
  const submit = () => ledger.submit(submission(record, 'x'));
  return { ledger, storage, witnesses, doubts, keeper, ask, judge, submit };
}

describe('who asks whether a record is in the ledger', () => {
  test('is shown its place in a witnessed tree when it comes a moment after the question', async () => {
    const { ask, submit, judge } = await opened();
    const asked = ask();
    await submit();
    const { status, answer } = await asked;
    expect(status).toBe(200);
    expect(judge(answer)).toMatchObject({ ok: true, value: { index: 0, size: 1 } });
  });

  test('is told of nothing that storage does not hold, and of it once it does', async () => {
    const { ledger, storage, ask, submit, judge } = await opened();
    storage.state.fail = 'before';
    expect(await submit()).toMatchObject({ code: 'LEDGER_STORAGE_FAILED' });
    expect(ledger.size()).toBe(1);
    expect(await ask(undefined, 50)).toEqual({ status: 200, answer: { index: null } });
    storage.state.fail = 'no';
    await submit();
    expect(judge((await ask()).answer)).toMatchObject({ ok: true });
  });

  test('is told of nothing that too few witnesses saw, and of it once enough of them do', async () => {
    const { witnesses, ask, submit, judge, doubts, keeper } = await opened();
    for (const witness of witnesses.slice(0, 2)) witness.silent = true;
    await submit();
    expect(await ask(undefined, 300)).toEqual({ status: 200, answer: { index: null } });
    expect(keeper.status()).toMatchObject({ witnessed: 0, behind: 1 });
    for (const witness of witnesses.slice(1)) witness.silent = false;
    expect(judge((await ask()).answer)).toMatchObject({ ok: true });
    expect(keeper.status()).toMatchObject({ witnessed: 1, behind: 0 });
    expect(doubts.filter((code) => code !== 'WITNESS_UNREACHABLE')).toEqual([]);
  });

  test('shares a head with all who ask at the same time', async () => {
    const { witnesses, ask, submit } = await opened();
    await submit();
    await Promise.all(Array.from({ length: 50 }, () => ask()));
    expect(Math.max(...witnesses.map(({ cosigned }) => cosigned))).toBeLessThanOrEqual(2);
  });

  test('is told nothing when policy does not allow it, or what it asks is no record', async () => {
    const denied = await opened(() => false);
    await denied.submit();
    expect(await denied.ask()).toMatchObject({ status: 403 });
    const allowed = await opened();
    expect(await allowed.ask('short')).toMatchObject({ status: 400 });
  });
});
