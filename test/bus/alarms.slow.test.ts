import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { BusAlarm } from '#bus/client/alarms.ts';
import type { BusClient } from '#bus/client/bus-client.ts';
import type { Member } from '#bus/directory.ts';
import type { UserPermissions } from '#bus/gate/user-jwt.ts';
import type { RecordId } from '#custody/record.ts';
import { accept } from '#identity/outcome.ts';
import {
  MEMBERS,
  permissionsOf,
  startSwarm,
  type TestLedger,
  type TestSwarm,
} from '#test/support/swarm.ts';

let swarm: TestSwarm;
let ledger: TestLedger;

beforeAll(async () => {
  swarm = await startSwarm();
  await swarm.streams();
  ledger = await swarm.ledger();
});
afterAll(async () => {
  await ledger?.close();
  await swarm?.stop();
});

/** A client, and what it tells past the broker. */
async function watched(member: Member) {
  const told: BusAlarm[] = [];
  const waiting = new Set<() => void>();
  const made = await swarm.client(member, {
    onAlarm: (alarm) => {
      told.push(alarm);
      for (const look of waiting) look();
    },
  });
  const heard = (wanted: Partial<BusAlarm>) =>
    new Promise<BusAlarm>((resolve) => {
      const look = () => {
        const found = told.find((alarm) =>
          Object.entries(wanted).every(([key, value]) => alarm[key as keyof BusAlarm] === value),
        );
        if (found === undefined) return;
        waiting.delete(look);
        resolve(found);
      };
      waiting.add(look);
      look();
    });
  return { ...made, told, heard };
}

/** The broker's own rights are what takes a message away: it says nothing to who was to get it. */
function without(member: Member, denied: string): UserPermissions {
  const granted = permissionsOf(member);
  if (granted === undefined) throw new Error(`no permissions of ${member.token}`);
  const allow = (granted.publish.allow ?? []).filter((subject) => !subject.includes(denied));
  return { ...granted, publish: { ...granted.publish, allow } };
}

const payload = (n: number) => Buffer.from(JSON.stringify({ id: n }));
const send = (client: BusClient, to: Member, n: number) =>
  client.send({ kind: 'reading', audience: [to.id], payload: payload(n), recordKind: 'root' });

describe.concurrent('a bus client tells past the broker', () => {
  test('an acknowledgement that the broker swallows, once, and that it is over when one comes', async () => {
    swarm.permissions.set(MEMBERS.analyzer.id, without(MEMBERS.analyzer, '.ack.'));
    const analyzer = await watched(MEMBERS.analyzer);
    const camera = await watched(MEMBERS.camera);
    analyzer.client.consume({ kind: 'reading', handler: () => {} });
    await send(camera.client, MEMBERS.analyzer, 1);
    await send(camera.client, MEMBERS.analyzer, 2);
    const about = MEMBERS.analyzer.token;
    const alarm = await camera.heard({ code: 'ACK_MISSING', over: false });
    expect(alarm).toMatchObject({ about, detail: expect.stringContaining(about) });
    swarm.permissions.set(MEMBERS.analyzer.id, permissionsOf(MEMBERS.analyzer) ?? ({} as never));
    analyzer.source.rotate(await swarm.ca.issue(MEMBERS.analyzer.id));
    await camera.heard({ code: 'ACK_MISSING', over: true });
    expect(camera.told.map(({ code, over }) => [code, over])).toEqual([
      ['ACK_MISSING', false],
      ['ACK_MISSING', true],
    ]);
    expect(analyzer.told.filter(({ code }) => code === 'RSQ_GAP')).toEqual([]);
    for (const { client } of [camera, analyzer]) await client.close();
  }, 60_000);

  test('a message that was dropped on its way, by the next one; and not one that was refused', async () => {
    const analyzer = await watched(MEMBERS.analyzer2);
    const camera = await watched(MEMBERS.camera2);
    analyzer.client.consume({ kind: 'reading', handler: () => {} });
    const { link } = camera.client;
    // Between the client and the broker, where a broker could do it.
    const broker = { ...link };
    let sent = 0;
    link.publish = (message) => {
      if (!message.subject.includes('.reading.')) broker.publish(message);
      else {
        sent += 1;
        if (sent === 2) broker.publish({ ...message, payload: payload(99) });
        else if (sent !== 4) broker.publish(message);
      }
    };
    for (let n = 1; n <= 5; n += 1) await send(camera.client, MEMBERS.analyzer2, n);
    const alarm = await analyzer.heard({ code: 'RSQ_GAP', over: false });
    expect(alarm).toMatchObject({ about: MEMBERS.camera2.token });
    expect(alarm.detail).toMatch(/^1 messages/);
    // What others send to others comes here too, and is refused; neither is missed.
    expect(analyzer.refusals.map(({ code }) => code)).toContain('RECORD_PAYLOAD_MISMATCH');
    // It was told to its sender too, who has signed it anew: nothing is lost.
    await camera.client.flush();
    expect(camera.told).toEqual([]);
    for (const { client } of [camera, analyzer]) await client.close();
  }, 60_000);

  test('a record that the ledger never receives, and when it has', async () => {
    swarm.permissions.set(MEMBERS.action.id, without(MEMBERS.action, 'custody.append'));
    const action = await watched(MEMBERS.action);
    const said = action.client.record({ kind: 'msg', payload: payload(1) });
    const alarm = await action.heard({ code: 'RECEIPT_MISSING', over: false });
    expect(alarm).toMatchObject({ about: 'ledger' });
    swarm.permissions.set(MEMBERS.action.id, permissionsOf(MEMBERS.action) ?? ({} as never));
    action.source.rotate(await swarm.ca.issue(MEMBERS.action.id));
    await action.heard({ code: 'RECEIPT_MISSING', over: true });
    await said;
    await action.client.close();
  }, 60_000);

  test('a receipt without a proof; who keeps its word raises nothing', async () => {
    const llm = await watched(MEMBERS.llm);
    const mcp = await watched(MEMBERS.mcp);
    const asked = Promise.withResolvers<RecordId>();
    mcp.client.watchInclusion(async (id) => {
      asked.resolve(id);
      return ledger.ledger.get(id) === undefined
        ? { ok: false, code: 'NOT_HELD', detail: 'not there' }
        : accept({});
    });
    // A ledger that answers for a record that it does not hold any more.
    llm.client.watchInclusion(async () => ({ ok: false, code: 'NOT_HELD', detail: 'not there' }));
    const own = await mcp.client.record({ kind: 'msg', payload: payload(1) });
    await llm.client.record({ kind: 'msg', payload: payload(2) });
    const alarm = await llm.heard({ code: 'INCLUSION_MISSING', over: false });
    expect(alarm.detail).toContain('NOT_HELD');
    expect(await asked.promise).toBe(own);
    expect(mcp.told).toEqual([]);
    for (const { client } of [llm, mcp]) await client.close();
  }, 60_000);
});
