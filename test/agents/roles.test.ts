import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AGENT_CODES } from '#agents/codes.ts';
import { type Finding, findingSchema } from '#agents/finding.ts';
import { toBytes } from '#agents/json.ts';
import { parseReadingId, type Reading, readingId, readingSchema } from '#agents/reading.ts';
import { createAction, createAnalyzer, createSensor, roleSchemas } from '#agents/roles/index.ts';
import type { AgentEvent, Intent, Role } from '#agents/roles/role.ts';
import { NOTHING_SEEN, type Seen, see } from '#agents/roles/seen.ts';
import { inert } from '#agents/text.ts';
import type { RecordId } from '#custody/record.ts';
import { PLAN_TOOL } from './city.ts';

const config = roleSchemas.analyzer.parse({ detector: { window: 8, warmup: 8 } });
const analyzer = () =>
  createAnalyzer({ self: 'analyzer-one', config, model: 'city-small', tools: [PLAN_TOOL] });
const action = () => createAction(roleSchemas.action.parse({}));

function message(sender: string, kind: string, payload: unknown, record = 'r'): AgentEvent {
  return {
    kind: 'message',
    message: { recordId: record as RecordId, sender, kind, payload: toBytes(payload) },
  };
}

function reading(row: number, value: number, sensor = 'sensor-a'): Reading {
  return {
    type: 'reading',
    id: readingId(sensor, 'file.csv-00000000', row),
    row,
    measure: 'speed',
    at: '2026-01-05T00:00:00.000Z',
    value,
    late: false,
  };
}

const finding = (id: string, over: Partial<Finding> = {}): Finding => ({
  type: 'finding',
  id,
  sensor: 'sensor-a',
  readingId: 'sensor-a:file.csv-00000000:1',
  measure: 'speed',
  at: '2026-01-05T00:00:00.000Z',
  value: 5,
  score: 9,
  direction: 'low',
  summary: '',
  runbook: null,
  proposal: { tool: 'signal.set_plan', arguments: { plan: 'B' } },
  model: null,
  degraded: [],
  ...over,
});

function run<State>(role: Role<State>, events: readonly AgentEvent[]) {
  let state = role.initial;
  const intents: Intent[] = [];
  for (const event of events) {
    const step = role.step(state, event);
    state = step.state;
    intents.push(...step.intents);
  }
  return { state, intents };
}

const foreign = fc.oneof(
  fc.json().map((text) => JSON.parse(text) as unknown),
  fc.record({ type: fc.constantFrom('reading', 'finding', 'malformed'), id: fc.string() }),
);
const anyEvent = (valid: fc.Arbitrary<unknown>): fc.Arbitrary<AgentEvent> =>
  fc.oneof(
    fc
      .tuple(fc.constantFrom('sensor-a', 'sensor-b', 'analyzer-one'), fc.oneof(valid, foreign))
      .map(([sender, payload]) => message(sender, 'any', payload)),
    fc
      .tuple(fc.string(), fc.string(), fc.string())
      .map(([ref, code, detail]) => ({ kind: 'failure' as const, ref, code, detail })),
    fc.tuple(fc.string(), fc.string()).map(([ref, body]) => ({
      kind: 'result' as const,
      ref,
      recordId: 'r' as RecordId,
      response: { status: 200, contentType: 'application/json', body },
    })),
  );

const readings = fc
  .tuple(fc.integer({ min: 1, max: 40 }), fc.double({ noNaN: true, noDefaultInfinity: true }))
  .map(([row, value]) => reading(row, value));
const findings = fc.integer({ min: 1, max: 8 }).map((n) => finding(`analyzer-one:${n}`));

describe('whatever happens', () => {
  test('steps throw nothing, change no earlier state, and repeat exactly', () => {
    const check = <State>(role: Role<State>, events: readonly AgentEvent[]) => {
      const once = run(role, events);
      expect(run(role, events)).toEqual(once);
      expect(run(role, [])).toEqual({ state: role.initial, intents: [] });
      for (const intent of once.intents) {
        if (intent.kind !== 'note') continue;
        expect(Object.keys(AGENT_CODES)).toContain(intent.code);
        expect(intent.detail.length).toBeLessThan(1000);
        expect(intent.detail).not.toMatch(/[\p{Cc}\p{Cf}]/u);
      }
    };
    fc.assert(
      fc.property(
        fc.array(anyEvent(readings), { maxLength: 60 }),
        fc.array(anyEvent(findings), { maxLength: 60 }),
        (some, others) => {
          check(analyzer(), some);
          check(action(), others);
        },
      ),
      { seed: 6, numRuns: 100 },
    );
  });

  test('one order per finding at most, whatever is repeated and however it ends', () => {
    fc.assert(
      fc.property(fc.array(anyEvent(findings), { maxLength: 80 }), (events) => {
        const orders = run(action(), events).intents.filter(({ kind }) => kind === 'tool');
        const refs = orders.map((intent) => (intent.kind === 'tool' ? intent.ref : ''));
        expect(new Set(refs).size).toBe(refs.length);
      }),
      { seed: 7, numRuns: 100 },
    );
  });

  test('every row is judged once, in whatever order and how often rows come', () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 100 }), { maxLength: 200 }), (rows) => {
        let seen: Seen = NOTHING_SEEN;
        const fresh: number[] = [];
        for (const row of rows) {
          const next = see(seen, row);
          if (next !== undefined) {
            fresh.push(row);
            seen = next;
          }
        }
        expect(fresh).toEqual([...new Set(rows)]);
      }),
      { seed: 8 },
    );
  });
});

test('a row far ahead keeps memory bounded', () => {
  const far = see(NOTHING_SEEN, Number.MAX_SAFE_INTEGER);
  expect(far?.missing.size).toBe(2048);
});

test('the sensor: one publication per row, a report for a malformed one, none for a broken end', () => {
  const role = createSensor({ self: 'sensor-a', measure: 'speed' });
  const source = 'file.csv-00000000';
  const input = (item: Extract<AgentEvent, { kind: 'input' }>['item']): AgentEvent => ({
    kind: 'input',
    source,
    item,
  });
  const { state, intents } = run(role, [
    input({ kind: 'value', row: 1, at: new Date(0), value: 1, late: true, text: { n: 'x' } }),
    input({ kind: 'malformed', row: 2, line: 3, code: 'VALUE_INVALID', excerpt: 'x' }),
    input({ kind: 'broken', detail: 'EIO' }),
  ]);
  expect(state).toEqual({ rows: 2, malformed: 1, late: 1, broken: 1 });
  expect(intents.map(({ kind }) => kind)).toEqual(['publish', 'note', 'publish', 'note']);
  for (const intent of intents) {
    if (intent.kind !== 'publish') continue;
    expect(intent).toMatchObject({ recordKind: 'root', causes: [] });
    const payload = readingSchema.parse(JSON.parse(Buffer.from(intent.payload).toString()));
    expect(parseReadingId(payload.id)).toEqual({ sensor: 'sensor-a', source, row: payload.row });
  }
});

test('the analyzer: only an answer to an open analysis moves it, and causes accumulate', () => {
  const role = analyzer();
  const calm = Array.from({ length: 10 }, (_, i) =>
    message('sensor-a', 'reading', reading(i + 1, 60)),
  );
  const incident = message('sensor-a', 'reading', reading(11, 5), 'r-reading');
  const started = run(role, [...calm, incident]);
  const call = started.intents.at(-1);
  if (call?.kind !== 'call') throw new Error('no call');
  expect(call).toMatchObject({ service: 'vector', causes: ['r-reading'] });
  const answer = (ref: string, record: string, body: unknown): AgentEvent => ({
    kind: 'result',
    ref,
    recordId: record as RecordId,
    response: { status: 200, contentType: 'application/json', body: JSON.stringify(body) },
  });
  expect(role.step(started.state, answer('other', 'r', {}))).toEqual({
    state: started.state,
    intents: [],
  });
  const asked = role.step(started.state, answer(call.ref, 'r-vector', { points: [] }));
  expect(asked.intents).toMatchObject([{ service: 'llm', causes: ['r-reading', 'r-vector'] }]);
  const content = { choices: [{ message: { content: 'no\u001b action' } }] };
  const ended = role.step(asked.state, answer(call.ref, 'r-chat', content));
  const [publish] = ended.intents;
  if (publish?.kind !== 'publish') throw new Error('no finding');
  expect(publish.causes).toEqual(['r-reading', 'r-vector', 'r-chat']);
  const published = findingSchema.parse(JSON.parse(Buffer.from(publish.payload).toString()));
  expect(published).toMatchObject({ proposal: null, degraded: [], model: 'city-small' });
  expect(published.summary).toContain('no\\u{1b} action');
  expect(role.step(ended.state, answer(call.ref, 'r-chat', content)).intents).toEqual([]);
});

test('the action agent: a finding of another analyzer under its name is refused', () => {
  const genuine = message('analyzer-one', 'finding', finding('analyzer-one:1'));
  expect(run(action(), [genuine]).intents).toMatchObject([{ kind: 'tool', causes: ['r'] }]);
  const nested = `${'['.repeat(200_000)}${']'.repeat(200_000)}`;
  const text = JSON.stringify(
    finding('analyzer-one:1', { proposal: { tool: 'x', arguments: { a: 0 } } }),
  );
  const deep: AgentEvent = {
    kind: 'message',
    message: {
      recordId: 'r' as RecordId,
      sender: 'analyzer-one',
      kind: 'finding',
      payload: Buffer.from(text.replace('{"a":0}', `{"a":${nested}}`)),
    },
  };
  for (const odd of [
    message('analyzer-two', 'finding', finding('analyzer-one:1')),
    message('analyzer-one', 'finding', { ...finding('analyzer-one:1'), extra: 1 }),
    message('analyzer-one', 'finding', {
      ...finding('analyzer-one:1'),
      proposal: { tool: 'x', arguments: { a: 'b'.repeat(3000) } },
    }),
    deep,
  ]) {
    expect(run(action(), [odd]).intents).toMatchObject([{ kind: 'note', code: 'FINDING_INVALID' }]);
  }
});

test('text is bounded and inert, and plain text stays as it is', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (text) => {
      const safe = inert(text, 100);
      expect(safe.length).toBeLessThanOrEqual(100);
      expect(safe).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u);
    }),
    { seed: 9, numRuns: 500 },
  );
  expect(inert('Straße 12, 北京 🚦 "ok"', 100)).toBe('Straße 12, 北京 🚦 "ok"');
});

test('configurations refuse what they do not know, and fill in what is absent', () => {
  expect(Object.keys(roleSchemas)).toEqual(['sensor', 'analyzer', 'action']);
  expect(roleSchemas.analyzer.parse({}).detector.window).toBe(144);
  expect(roleSchemas.analyzer.safeParse({ detector: { windw: 5 } }).success).toBe(false);
  expect(roleSchemas.sensor.safeParse({}).success).toBe(false);
  expect(roleSchemas.action.safeParse({ retries: 3 }).success).toBe(false);
});
