import { beforeAll, describe, expect, test } from 'vitest';
import { narrate } from '#cli/narration.ts';
import { linkOf, type Traced } from '#cli/story/trace-links.ts';
import type { LedgerEntry } from '#custody/ledger/entry.ts';
import type { FoundSpan } from '#observability/span-index.ts';
import { type City, createCity, DENIED } from './city.ts';

const JAEGER = 'http://127.0.0.1:16686';
const SPAN: FoundSpan = {
  process: 'service-mcp',
  traceId: '2dab38477d2a9d04b479abc9c5e58019',
  spanId: '1017f8885c5e442d',
  name: 'process svc.mcp.{caller}',
  error: true,
  attributes: {},
};
const OPENED = `${JAEGER}/trace/${SPAN.traceId}?uiFind=${SPAN.spanId}`;

let city: City;
let order: string;
let entries: readonly LedgerEntry[];
beforeAll(async () => {
  city = await createCity();
  const finding = await city.finding([await city.reading()]);
  const act = await city.act(finding, 'valve.set', { delta_pct: 5 });
  order = act.id;
  await city.answer(act, DENIED, 'TOOL_NOT_ALLOWED');
  await city.refusal({ count: 1 });
  entries = city.ledger.list();
});

/** Spans of exactly one record have passed, of any other none. */
function traced(record: string, span: FoundSpan = SPAN): Traced {
  return {
    traces: {
      wait: async (id, { fits = () => true }) => (id === record && fits(span) ? span : undefined),
    },
    swarm: {
      members: [
        {
          id: 'spiffe://city.example/agent/sensor/north/cam-1',
          token: 'sensor-cam-1',
          role: 'sensor',
        },
        { id: 'spiffe://city.example/service/mcp', token: 'service-mcp', role: 'mcp' },
      ],
    },
  };
}

function entryOf(fits: (entry: LedgerEntry) => boolean): LedgerEntry {
  const entry = entries.find(fits);
  if (entry === undefined) throw new Error('no such entry');
  return entry;
}
const denial = () =>
  entryOf((one) => one.type === 'record' && one.record.claims.knd === 'tool.result');
const refusal = () => entries.at(-1) as LedgerEntry;

describe('a link of what was refused', () => {
  test('opens the span in which the service refused the order that its answer answers', async () => {
    expect(await linkOf(denial(), JAEGER, traced(order))).toBe(OPENED);
  });

  test('is not the span of another record, nor one in which all was well', async () => {
    expect(await linkOf(denial(), JAEGER, traced('another'))).toBeUndefined();
    const fine = { ...SPAN, error: false };
    expect(await linkOf(denial(), JAEGER, traced(order, fine))).toBeUndefined();
  });

  test('is not a span that another process made of the same record', async () => {
    const planted = { ...SPAN, process: 'sensor-cam-1' };
    expect(await linkOf(denial(), JAEGER, traced(order, planted))).toBeUndefined();
  });

  test('of no record, as the broker has none, searches for what its presenter did', async () => {
    const link = new URL((await linkOf(refusal(), JAEGER, traced('another'))) ?? '');
    expect(link.pathname).toBe('/search');
    expect(link.searchParams.get('service')).toBe('sensor');
    expect(JSON.parse(link.searchParams.get('tags') ?? '')).toEqual({
      'spiffe.id': 'spiffe://city.example/agent/sensor/north/cam-1',
    });
  });
});

test('the narration tells a refusal at once, and the link when the span is there', async () => {
  const written: string[] = [];
  const span = Promise.withResolvers<string>();
  let told: (entry: LedgerEntry) => void = () => {};
  const stop = narrate(
    {
      onEvent: () => () => {},
      onPolicy: () => () => {},
      ledger: {
        onEntry: (listener) => {
          told = listener;
          return () => {};
        },
      },
    },
    {
      json: false,
      output: { write: (text) => written.push(text) },
      clock: () => 0,
      linkOf: () => span.promise,
    },
  );
  told(denial());
  expect(written).toHaveLength(1);
  span.resolve(OPENED);
  await span.promise;
  await Promise.resolve();
  expect(written.slice(1)).toEqual([expect.stringContaining(`trace       mcp          ${OPENED}`)]);
  stop();
});
