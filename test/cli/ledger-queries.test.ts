import { describe, expect, test } from 'vitest';
import type { BusRequest } from '#bus/http-message.ts';
import { createTestLedger, submission } from '#test/custody/ledger/support.ts';
import { createTestSwarm, reading } from '#test/custody/support.ts';
import { allowAll, policyOf, type Rule } from '#test/services/world.ts';
import { answerLedgerQuery, RECORDED_PATH } from '../../cli/wiring/ledger-queries.ts';

const asker = {
  id: 'spiffe://city.example/service/mcp',
  token: 'service-mcp',
  kind: 'service',
  role: 'mcp',
  name: 'mcp',
} as never;

async function opened(rule: Rule = allowAll) {
  const swarm = await createTestSwarm();
  const { ledger, storage } = createTestLedger(swarm);
  const record = swarm.signer('sensor').sign(reading('x'));
  const ask = async (id: string = record.id, waitMs?: number) => {
    const body = JSON.stringify({ id });
    const request: BusRequest = { method: 'POST', path: RECORDED_PATH, contentType: '', body };
    const { status, body: text } = await answerLedgerQuery(
      ledger,
      policyOf(rule),
      asker,
      request,
      waitMs,
    );
    return { status, ...(JSON.parse(text) as object) };
  };
  return { ledger, storage, ask, submit: () => ledger.submit(submission(record, 'x')) };
}

describe('who asks whether a record is in the ledger', () => {
  test('is told its place when it comes a moment after the question', async () => {
    const { ask, submit } = await opened();
    const asked = ask();
    await submit();
    expect(await asked).toEqual({ status: 200, index: 0 });
  });

  test('is told of nothing that storage does not hold, and of it once it does', async () => {
    const { ledger, storage, ask, submit } = await opened();
    storage.state.fail = 'before';
    expect(await submit()).toMatchObject({ code: 'LEDGER_STORAGE_FAILED' });
    expect(ledger.size()).toBe(1);
    expect(await ask(undefined, 50)).toEqual({ status: 200, index: null });
    storage.state.fail = 'no';
    await submit();
    expect(await ask()).toEqual({ status: 200, index: 0 });
  });

  test('is told nothing when policy does not allow it, or what it asks is no record', async () => {
    const denied = await opened(() => false);
    await denied.submit();
    expect(await denied.ask()).toMatchObject({ status: 403 });
    const allowed = await opened();
    expect(await allowed.ask('short')).toMatchObject({ status: 400 });
  });
});
