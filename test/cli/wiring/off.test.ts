import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { BusClient, BusClientOptions } from '#bus/client/bus-client.ts';
import { recordHeaders } from '#bus/client/envelope.ts';
import { openLink } from '#bus/client/link.ts';
import { connectNats, outgoing } from '#bus/client/nats.ts';
import { createDirectory } from '#bus/directory.ts';
import { encodeRequest } from '#bus/http-message.ts';
import { replySubject, requestSubject } from '#bus/subjects.ts';
import { ownerOfSubject } from '#cli/wiring/door.ts';
import { createDoor, ownerOfSubject as withoutOwner } from '#cli/wiring/off/door.ts';
import { grantsOf } from '#cli/wiring/off/grants.ts';
import { servicePolicy } from '#cli/wiring/off/service-policy.ts';
import { agent, MEMBERS, startSwarm, type TestSwarm, violation } from '#test/support/swarm.ts';

const REQUEST = {
  method: 'POST',
  path: '/x',
  contentType: 'application/json',
  body: '{}',
} as const;

/** Closed by the test that opened them, last first. */
const open: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const close of open.splice(0).reverse()) await close();
});

async function swarmWith(options: Parameters<typeof startSwarm>[0]): Promise<TestSwarm> {
  const swarm = await startSwarm(options);
  open.push(() => swarm.stop());
  return swarm;
}

/** The model service behind a door; tells whom it took each request to be from, or why it did not. */
async function serveLlm(swarm: TestSwarm, door: Partial<BusClientOptions>) {
  const heard: string[] = [];
  const next = { resolve: () => {} };
  const { client, refusals } = await swarm.client(MEMBERS.llm, {
    ...door,
    onRefusal: ({ code }) => {
      heard.push(code);
      next.resolve();
    },
  });
  open.push(() => client.close());
  await client.serve({
    service: 'llm',
    handler: async ({ sender, signedBy }) => {
      heard.push(`${sender.token} ${signedBy}`);
      next.resolve();
      return { response: { status: 200, contentType: 'text/plain', body: '' } };
    },
  });
  const something = () =>
    new Promise<void>((resolve) => {
      next.resolve = resolve;
      if (heard.length > 0) resolve();
    });
  return { heard, something, refusals };
}

async function clientOf(
  swarm: TestSwarm,
  member: (typeof MEMBERS)['analyzer'],
): Promise<BusClient> {
  const { client } = await swarm.client(member);
  open.push(() => client.close());
  return client;
}

/** A sensor's own record, published as the analyzer's request. */
function impersonate(sensor: BusClient): void {
  const subject = requestSubject('llm', MEMBERS.analyzer);
  const reply = replySubject(MEMBERS.analyzer, 'llm', 'n1');
  const payload = encodeRequest(REQUEST);
  const record = sensor.sign({
    aud: [MEMBERS.llm.id],
    sbj: subject,
    rpl: reply,
    knd: 'tool.call',
    payload,
  });
  sensor.link.publish({ subject, reply, payload, headers: recordHeaders(record, { chain: true }) });
}

const honest = async (swarm: TestSwarm): Promise<boolean> => {
  const analyzer = await clientOf(swarm, MEMBERS.analyzer);
  const answer = await analyzer.request({
    service: 'llm',
    request: REQUEST,
    recordKind: 'tool.call',
    timeoutMs: 10_000,
  });
  return answer.ok;
};

describe('with broker permissions off', () => {
  test('a member publishes under another’s token, which the real gate’s grants deny', async () => {
    const swarm = await swarmWith({});
    const nats = await connectNats(swarm.connection(await swarm.source(MEMBERS.camera)));
    open.push(() => nats.close());
    const denied = violation(nats);
    nats.publish(requestSubject('llm', MEMBERS.analyzer), '');
    expect(await denied).toContain('svc.llm.analyzer-analyzer-1');

    const loose = await swarmWith({ grants: grantsOf() });
    const free = await connectNats(loose.connection(await loose.source(MEMBERS.camera)));
    open.push(() => free.close());
    const all = free.subscribe('>');
    free.publish(requestSubject('llm', MEMBERS.analyzer), 'mine', {
      headers: outgoing([['a', 'b']]),
    });
    for await (const { subject, data } of all) {
      expect([subject, Buffer.from(data).toString()]).toEqual([
        'svc.llm.analyzer-analyzer-1',
        'mine',
      ]);
      break;
    }
    const info = await free.request('$JS.API.INFO', '', { timeout: 10_000 });
    expect(JSON.parse(info.string())).toHaveProperty('streams');
  });

  test('who is no member does not get in', async () => {
    const loose = await swarmWith({ grants: grantsOf() });
    const stranger = agent('sensor', 'north', 'nobody');
    const source = await loose.source(stranger);
    await expect(openLink({ ...loose.connection(source), firstConnectMs: 0 })).rejects.toThrow();
    expect(loose.decisions.at(-1)).toMatchObject({ ok: false, code: 'GATE_NOT_A_MEMBER' });
  });

  test('the door still names who signed, and refuses; the honest request passes', async () => {
    const loose = await swarmWith({ grants: grantsOf() });
    const llm = await serveLlm(loose, {});
    impersonate(await clientOf(loose, MEMBERS.camera));
    await llm.something();
    expect(llm.heard).toEqual(['DOOR_SIGNER_NOT_PRESENTER']);
    expect(await honest(loose)).toBe(true);
  });
});

describe('with message signature off', () => {
  let loose: TestSwarm;
  let llm: Awaited<ReturnType<typeof serveLlm>>;
  beforeAll(async () => {
    loose = await startSwarm({ grants: grantsOf() });
    return () => loose.stop();
  });

  test('the sender is whoever the subject names, whoever signed', async () => {
    llm = await serveLlm(loose, { createDoor });
    impersonate(await clientOf(loose, MEMBERS.camera));
    await llm.something();
    expect(llm.heard).toEqual([`analyzer-analyzer-1 ${MEMBERS.analyzer.id}`]);
  });

  test('the honest request passes, and a message without a record does not', async () => {
    llm = await serveLlm(loose, { createDoor });
    const camera = await clientOf(loose, MEMBERS.camera);
    const subject = requestSubject('llm', MEMBERS.analyzer);
    const reply = replySubject(MEMBERS.analyzer, 'llm', 'n2');
    camera.link.publish({ subject, reply, payload: encodeRequest(REQUEST) });
    await llm.something();
    expect(llm.heard).toEqual([expect.stringMatching(/^RECORD_/)]);
    expect(await honest(loose)).toBe(true);
  });

  test('the ledger compares no subject with a signer, which it does otherwise', () => {
    const directory = createDirectory(Object.values(MEMBERS));
    const { senderOf } = ownerOfSubject(directory);
    expect(senderOf?.(requestSubject('llm', MEMBERS.analyzer))).toBe(MEMBERS.analyzer.id);
    expect(withoutOwner()).toEqual({});
  });
});

test('with policy off every question is answered with yes', async () => {
  const policy = await servicePolicy();
  expect(policy.decide()).toMatchObject({ allow: true, obligations: {}, revision: '' });
  expect(policy.decide().id).not.toBe(policy.decide().id);
});
