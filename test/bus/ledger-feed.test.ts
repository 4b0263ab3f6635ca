import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { BusClient } from '#bus/client/bus-client.ts';
import { recordHeaders } from '#bus/client/envelope.ts';
import { appendSubject } from '#bus/subjects.ts';
import type { RecordId, SignedRecord } from '#custody/record.ts';
import { MEMBERS, startSwarm, type TestLedger, type TestSwarm } from '#test/support/swarm.ts';

let swarm: TestSwarm;
let ledger: TestLedger;
beforeEach(async () => {
  swarm = await startSwarm();
  await swarm.streams();
  ledger = await swarm.ledger();
});
afterEach(async () => {
  await ledger?.close();
  await swarm?.stop();
});

const nobodys = () => randomBytes(32).toString('base64url') as RecordId;
const payload = Buffer.from('{}');

function act({ self, sign }: BusClient, cause: RecordId): SignedRecord {
  return sign({
    aud: [MEMBERS.mcp.id],
    sbj: `svc.mcp.${self.token}`,
    rpl: `_INBOX.${self.token}.mcp.${randomBytes(8).toString('hex')}`,
    knd: 'act',
    par: [cause],
    tool: { kind: 'mcp', model: 'signal.set_plan', rid: cause, signed: false },
    payload,
  });
}

/** As its own submitter does, but without waiting for anything. */
function append({ self, link }: BusClient, record: SignedRecord): void {
  const headers = recordHeaders(record, { chain: true });
  link.publish({ subject: appendSubject(self), payload, headers });
}

async function untilHeld(id: RecordId): Promise<void> {
  while (ledger.ledger.get(id) === undefined) await new Promise((next) => setTimeout(next, 20));
}

describe('acts whose causes the ledger does not hold', () => {
  test('of one member wait in bounded number: others are taken meanwhile, and the rest is refused', async () => {
    const { client: rogue } = await swarm.client(MEMBERS.camera);
    const { client: honest } = await swarm.client(MEMBERS.action);
    // More than the server delivers without an answer: together they would be all that is delivered.
    const flood = 5000;
    for (let n = 0; n < flood; n += 1) append(rogue, act(rogue, nobodys()));
    await rogue.link.flush();
    const cause = honest.sign({
      aud: [MEMBERS.action.id],
      sbj: appendSubject(MEMBERS.action),
      knd: 'msg',
      payload,
    });
    const early = act(honest, cause.id);
    append(honest, early);
    append(honest, cause);
    // The twin: an act that comes before its cause waits for it.
    await untilHeld(early.id);
    await ledger.ledger.flush({ all: true });
    const refused = ledger.ledger.refusals().filter(({ refusal }) => refusal.count > 0);
    expect(new Set(refused.map(({ refusal }) => refusal.presented_by))).toEqual(
      new Set([MEMBERS.camera.id]),
    );
    expect(new Set(refused.map(({ refusal }) => refusal.code))).toEqual(
      new Set(['LEDGER_PARENT_UNKNOWN']),
    );
    expect(refused.reduce((sum, { refusal }) => sum + refusal.count, 0)).toBeGreaterThan(flood / 2);
    await rogue.close();
    await honest.close();
  }, 60_000);
});
