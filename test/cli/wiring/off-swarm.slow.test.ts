import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { recordHeaders } from '#bus/client/envelope.ts';
import { encodeRequest } from '#bus/http-message.ts';
import { replySubject, requestSubject } from '#bus/subjects.ts';
import type { Control } from '#cli/wiring/controls.ts';
import { IMAGE_CACHE, imageLike } from '#cli/wiring/images.ts';
import { variantOff } from '#cli/wiring/variants.ts';
import { observeWorksState } from '#cli/wiring/works-observer.ts';
import type { RecordId } from '#custody/record.ts';
import { accept } from '#identity/outcome.ts';
import { createToolCaller, type McpRequest } from '#services/mcp/client.ts';
import { entriesOf, isMessage } from '#test/swarm/account.ts';
import { folder } from '#test/swarm/city.ts';
import { type Foothold, type Footholds, footholds } from '#test/swarm/foothold.ts';
import { readingOf } from '#test/swarm/forge.ts';
import { AGENTS, type Flow, flowWithout } from './off-flow.ts';

/** One whole swarm with every control off that can be: what is honest must still work. */
const OFF: readonly Control[] = ['P', 'B', 'S'];
const IMPLANT = `implant-${process.pid}`;
const place = folder();
let flow: Flow;
let held: Footholds;

beforeAll(async () => {
  held = await footholds(join(place.path, 'run'));
  const quiet = { kind: 'simulated', seed: 5, rows: 1 };
  const implant = { role: 'sensor', name: 'implant-1', source: quiet };
  flow = await flowWithout(OFF, place, [...AGENTS, implant]);
}, 120_000);
afterAll(async () => {
  await held?.close();
  await flow?.close();
  rmSync(join(IMAGE_CACHE, IMPLANT), { recursive: true, force: true });
}, 60_000);

test('a reading becomes an order that the city works carry out', () => {
  expect(flow.works.orders.length).toBeGreaterThan(0);
  expect(Object.keys(flow.works.signals)).toEqual(['north']);
});

test('every process has its identity, each by an image of its own that CI has signed', () => {
  const { processes } = flow.running.status();
  expect(processes.filter(({ state }) => state !== 'ready')).toEqual([]);
});

test('the ledger holds what was done by whom, and no door refused anything', () => {
  expect(flow.running.ledger.counts()).toMatchObject({ refusals: 0 });
  const acts = entriesOf(flow.running).filter(
    (entry) => entry.type === 'record' && entry.record.claims.knd === 'act',
  );
  expect(acts.length).toBeGreaterThan(0);
});

/** The body of an MCP call, as the official client writes it. */
async function callOf(name: string, given: Record<string, unknown>): Promise<McpRequest> {
  let written: McpRequest | undefined;
  const body = '{}';
  const caller = createToolCaller(async (request) => {
    written = request;
    return accept({ status: 200, contentType: 'application/json', body });
  });
  await caller(name, given, []).catch(() => {});
  if (written === undefined) throw new Error('the client wrote nothing');
  return written;
}

/** An order to the tool server in the name of the action agent, over the sensor's own record. */
async function orderAs(victim: string, { client, start, self }: Foothold): Promise<void> {
  const { bus } = await client();
  const action = start.members.find(({ token }) => token === victim);
  const mcp = start.members.find(({ token }) => token === 'service-mcp');
  if (action === undefined || mcp === undefined) throw new Error('no such member');
  const cause = await bus.record({ kind: 'root', payload: readingOf(self.token, 1) });
  const payload = encodeRequest(await callOf('signal.set_plan', { plan: 'C' }));
  const subject = requestSubject('mcp', action);
  const reply = replySubject(action, 'mcp', 'n1');
  const record = bus.sign({
    aud: [mcp.id],
    sbj: subject,
    rpl: reply,
    knd: 'act',
    par: [cause],
    tool: { kind: 'mcp', model: 'signal.set_plan', rid: cause, signed: false },
    payload,
  });
  const headers = recordHeaders(record, { chain: true });
  bus.link.publish({ subject: `custody.append.${self.token}`, payload, headers });
  bus.link.publish({ subject, reply, payload, headers });
}

test('a sensor that orders in the name of the action agent moves the lights, and its key is on record', async () => {
  const imageFolder = await imageLike('sensor', {
    folder: IMPLANT,
    variant: variantOff(OFF),
    entry: 'test/swarm/programs/sensor.ts',
  });
  const replaced = await flow.running.replaceAgent('implant-1', { imageFolder });
  expect(replaced).toMatchObject({ ok: true });
  const implant = await held.of('sensor-implant-1');
  const answers = '_INBOX.action-action-1.mcp.n1';
  expect(flow.works.signals).not.toEqual({ north: 'C' });
  await orderAs('action-action-1', implant);
  await flow.running.ledger.entry((entry) => isMessage(entry, answers));
  const { signals, orders } = await observeWorksState(flow.running.observe);
  expect(signals).toEqual({ north: 'C' });
  const order = orders.at(-1)?.order ?? '';
  const act = flow.running.ledger.get(order as RecordId);
  expect(act?.record.claims.iss).toBe(implant.self.id);
});
