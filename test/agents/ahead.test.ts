import { describe, expect, test } from 'vitest';
import type { AgentBus, OutgoingMessage } from '#agents/bus.ts';
import { startLoop } from '#agents/loop.ts';
import { createSensor } from '#agents/roles/sensor.ts';
import type { Source } from '#agents/sources/source.ts';

/** A sensor before a bus that takes messages when the test says so. */
function sensor(rows: number, intervalMs: number) {
  const sent: OutgoingMessage[] = [];
  const places: (() => void)[] = [];
  const bus: AgentBus = {
    send: (message) => {
      sent.push(message);
      return new Promise<void>((resolve) => places.push(resolve));
    },
    consume: () => ({ close: async () => {} }),
    request: async () => ({ ok: false, code: 'NONE', detail: '' }),
    flush: async () => {},
  };
  const source: Source = {
    name: 'rows',
    intervalMs,
    items: (async function* () {
      for (let row = 0; row < rows; row += 1) {
        yield { kind: 'value', row, at: new Date(row), value: row, late: false, text: undefined };
      }
    })(),
    close: async () => {},
  };
  const loop = startLoop({
    role: createSensor({ self: 'sensor-cam-1', measure: 'speed' }),
    bus,
    consumes: [],
    audience: { reading: ['spiffe://city.example/agent/analyzer/north/*'] },
    source,
    concurrency: 1,
    onNote: () => {},
  });
  const rowsSent = () =>
    sent.map(({ payload }) => (JSON.parse(Buffer.from(payload).toString()) as { row: number }).row);
  const settle = async () => {
    for (let turn = 0; turn < 20; turn += 1) await new Promise(setImmediate);
  };
  return { loop, places, rowsSent, settle };
}

const upTo = (count: number) => Array.from({ length: count }, (_, row) => row);

describe('a sensor', () => {
  test('without a pace has a bounded number of readings on their way, in order', async () => {
    const { loop, places, rowsSent, settle } = sensor(200, 0);
    await settle();
    expect(rowsSent()).toEqual(upTo(64));
    places.splice(0, 1)[0]?.();
    await settle();
    expect(rowsSent()).toEqual(upTo(65));
    while (loop.status().phase === 'running') {
      for (const resolve of places.splice(0)) resolve();
      await settle();
    }
    await loop.done;
    expect(rowsSent()).toEqual(upTo(200));
    expect(loop.status()).toMatchObject({ phase: 'done', published: 200, failed: 0 });
  });

  test('with a pace has one', async () => {
    const { loop, places, rowsSent, settle } = sensor(5, 1);
    await settle();
    expect(rowsSent()).toEqual([0]);
    for (const resolve of places.splice(0)) resolve();
    await loop.stop(0);
  });
});
