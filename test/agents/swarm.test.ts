import { afterEach, describe, expect, test } from 'vitest';
import type { Finding } from '#agents/finding.ts';
import { type Loop, startLoop } from '#agents/loop.ts';
import type { Reading } from '#agents/reading.ts';
import { createAction, createAnalyzer, createSensor, roleSchemas } from '#agents/roles/index.ts';
import { openSource, sourceSchema } from '#agents/sources/index.ts';
import { mcpOver } from '#agents/tools.ts';
import type { LedgerEntry } from '#custody/ledger/entry.ts';
import { createToolCaller } from '#services/mcp/client.ts';
import {
  agent,
  MEMBERS,
  permissionsOf,
  service,
  startSwarm,
  type TestSwarm,
} from '../support/swarm.ts';
import { llmService, mcpService, PLAN_TOOL, vectorService } from './city.ts';
import type { Service } from './hub.ts';
import { loadNab, NAB_MISSING, nabPresent, within } from './nab.ts';

const stops: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const stop of stops.splice(0).reverse()) await stop();
});

const ROADS = [0, 1, 2].map((index) => agent('sensor', 'north', `road-${index}`));
const VECTOR = service('vector');
const onNote = () => {};

async function serve(swarm: TestSwarm, member: typeof VECTOR, run: Service): Promise<void> {
  const { client } = await swarm.client(member);
  stops.push(() => client.close());
  await client.serve({
    service: member.name,
    handler: async ({ payload }) => {
      const answer = await run(payload);
      if ('ok' in answer) throw new Error(answer.detail);
      return { response: answer };
    },
  });
}

describe.skipIf(!nabPresent())(`road series (${nabPresent() ? 'present' : NAB_MISSING})`, () => {
  test('over the real broker and into the ledger: rows = recorded = acknowledged, incidents acted upon', async () => {
    const { analyzer, action, llm, mcp, ledger, gate, supervisor } = MEMBERS;
    const swarm = await startSwarm({
      members: [...ROADS, analyzer, action, VECTOR, llm, mcp, ledger, gate, supervisor],
    });
    stops.push(() => swarm.stop());
    const granted = permissionsOf(analyzer);
    if (granted === undefined) throw new Error('the analyzer has no permissions');
    const allow = [...granted.publish.allow, `svc.vector.${analyzer.token}`];
    swarm.permissions.set(analyzer.id, { ...granted, publish: { allow } });
    await swarm.streams();
    const book = await swarm.ledger();
    stops.push(() => book.close());
    await serve(swarm, VECTOR, vectorService);
    await serve(swarm, llm, llmService);
    await serve(
      swarm,
      mcp,
      mcpService(async () => ({ done: true })),
    );

    const actor = await swarm.client(action);
    stops.push(() => actor.client.close());
    const acting = startLoop({
      role: createAction(roleSchemas.action.parse({})),
      bus: actor.client,
      consumes: ['finding'],
      audience: {},
      callTool: createToolCaller(mcpOver(actor.client, { timeoutMs: 5000 })),
      concurrency: 4,
      onNote,
    });
    const judge = await swarm.client(analyzer);
    stops.push(() => judge.client.close());
    const config = roleSchemas.analyzer.parse({});
    const context = { self: analyzer.token, config, model: 'city-small', tools: [PLAN_TOOL] };
    const judging = startLoop({
      role: createAnalyzer(context),
      bus: judge.client,
      consumes: ['reading'],
      audience: { finding: [action.id] },
      concurrency: 4,
      onNote,
    });

    const series = loadNab();
    const sensors: Loop[] = [];
    for (const [index, { path, measure }] of series.entries()) {
      const member = ROADS[index] ?? agent('sensor', 'north', 'none');
      const { client } = await swarm.client(member);
      stops.push(() => client.close());
      const opened = await openSource(sourceSchema.parse({ kind: 'csv', path }));
      if (!opened.ok) throw new Error(opened.detail);
      sensors.push(
        startLoop({
          role: createSensor({ self: member.token, measure }),
          bus: client,
          consumes: [],
          audience: { reading: [analyzer.id] },
          source: opened.value,
          concurrency: 1,
          onNote,
        }),
      );
    }
    await Promise.all(sensors.map((sensor) => sensor.done));
    await judging.stop(10_000);
    await acting.stop(10_000);

    const rows = series.reduce((sum, { rows: each }) => sum + each.length, 0);
    expect(sensors.map((sensor) => sensor.status().acknowledged)).toEqual(
      series.map(({ rows: each }) => each.length),
    );
    const entries = book.ledger.list({ kind: 'root', limit: 1_000_000 });
    const ids = new Set(entries.map((entry) => payloadOf<Reading>(entry)?.id));
    expect(ids.size).toBe(rows);
    expect(judging.status().role).toMatchObject({ readings: rows, invalid: 0, open: 0 });

    const acted = book.ledger.list({ kind: 'act', limit: 1000 }).map((entry) => {
      const [finding] = entry.type === 'record' ? book.ledger.parents(entry.record.id) : [];
      return finding === undefined ? undefined : payloadOf<Finding>(finding);
    });
    let outside = 0;
    series.forEach(({ windows }, index) => {
      const times = acted
        .filter((finding) => finding?.sensor === ROADS[index]?.token)
        .map((finding) => Date.parse(finding?.at ?? ''));
      const found = windows.filter((window) => times.some((at) => within(at, [window])));
      expect(found).toEqual(windows);
      outside += times.filter((at) => !within(at, windows)).length;
    });
    expect(outside).toBeLessThanOrEqual(12);
    expect(judge.refusals).toEqual([]);
    expect(actor.refusals).toEqual([]);
  }, 120_000);
});

function payloadOf<T>(entry: LedgerEntry): T | undefined {
  if (entry.type !== 'record' || entry.payload === undefined) return undefined;
  return JSON.parse(Buffer.from(entry.payload).toString('utf8')) as T;
}
