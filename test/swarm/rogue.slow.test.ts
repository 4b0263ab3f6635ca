import { afterAll, beforeAll, expect, test } from 'vitest';
import { imagesOf } from '#cli/wiring/images.ts';
import { parseAck } from '#custody/ack.ts';
import { type Scene, scene } from './rogue.ts';

/** Every certificate of the authority is believed: what `rogue-issuer.slow.test.ts` shows is this control's. */
let stage: Scene;
beforeAll(async () => {
  const by = 'test/swarm/programs/any-certificate.ts';
  const exchanges = [{ id: 'standing', module: 'cli/wiring/standing.ts', by }];
  const variant = { folder: () => 'test-any-certificate', exchanges };
  stage = await scene(await imagesOf(variant, () => {}));
}, 240_000);
afterAll(() => stage?.close());

test('without the check of issuances a thief of the authority’s key enters the broker as any agent', async () => {
  const link = await stage.enter('spiffe://city.example/agent/analyzer/north/analyzer-1');
  expect(link.connected()).toBe(true);
  await link.close();
});

test('without the check of issuances an agent takes a reading that the thief has signed', async () => {
  const { running, present, sensor } = stage;
  const since = running.ledger.size();
  const { session } = await present();
  await running.ledger.entry((entry) => {
    if (entry.type !== 'record' || entry.payload === undefined) return false;
    const ack = parseAck(entry.payload);
    if (!ack.ok || ack.value.type !== 'ack') return false;
    return ack.value.to === sensor.self.id && ack.value.sid === session;
  }, since);
});
