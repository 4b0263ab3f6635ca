import { describe, expect, test } from 'vitest';
import { refuse } from '#identity/outcome.ts';
import { mcpService, PLAN_TOOL, startCity } from './city.ts';
import { createHub, json, type Service } from './hub.ts';
import { codesOf, findingsOf, healthy, INCIDENT, of, runOnce } from './runs.ts';

const silent: Service = () => new Promise(() => {});
/** Short for one that is silent; model and vector service answer before any timer can fire. */
const asking = (service: Service) => (service === silent ? { analyzerMs: 100 } : {});

describe('bad services', () => {
  const broken: readonly (readonly [string, Service])[] = [
    ['is silent', silent],
    ['refuses', async () => refuse('REQUEST_TIMED_OUT', 'no answer')],
    ['throws', () => Promise.reject(new Error('no identity'))],
    ['answers an error', async () => json(503, { error: { code: 'MODEL_TIMEOUT' } })],
    ['answers no JSON', async () => ({ status: 200, contentType: 'text/html', body: '<html>' })],
    ['answers nonsense', async () => json(200, { choices: [{ message: {} }], points: 'many' })],
  ];

  test.each(broken)('a model that %s: the finding goes out without a proposal', async (_, llm) => {
    const run = await runOnce({ ...healthy, llm }, asking(llm));
    expect(findingsOf(run.hub)).toMatchObject([
      { runbook: 'slow-traffic', proposal: null, degraded: ['model'] },
    ]);
    expect(codesOf(run)).toEqual([expect.stringMatching(/^MODEL_(UNAVAILABLE|NONSENSE)$/)]);
    expect(of(run.hub, 'svc.mcp')).toEqual([]);
    expect(run.sensor.status().acknowledged).toBe(600);
  });

  test.each(broken)(
    'a vector service that %s: the model is asked without runbooks',
    async (_, vector) => {
      const run = await runOnce({ ...healthy, vector }, asking(vector));
      expect(findingsOf(run.hub)).toMatchObject([{ runbook: null, degraded: ['runbook'] }]);
      expect(codesOf(run)).toEqual(['RUNBOOK_UNAVAILABLE']);
    },
  );

  test('a proposal of a tool that was not granted is dropped and said; a granted one passes', async () => {
    const proposing =
      (name: string): Service =>
      async () =>
        json(200, {
          choices: [
            { message: { tool_calls: [{ function: { name, arguments: '{"plan":"C"}' } }] } },
          ],
        });
    const refused = await runOnce({ ...healthy, llm: proposing('valve.set') });
    expect(findingsOf(refused.hub)).toMatchObject([{ proposal: null, degraded: [] }]);
    expect(codesOf(refused)).toEqual(['PROPOSAL_NOT_GRANTED']);
    const granted = await runOnce({ ...healthy, llm: proposing(PLAN_TOOL.name) });
    expect(findingsOf(granted.hub)).toMatchObject([{ proposal: { arguments: { plan: 'C' } } }]);
  });

  test.each([
    ['is silent', silent, 'ACT_OUTCOME_UNKNOWN'],
    ['never answers', async () => refuse('REQUEST_TIMED_OUT', 'late'), 'ACT_OUTCOME_UNKNOWN'],
    [
      'fails half-way',
      mcpService(async () => Object.assign(new Error('x'), { name: 'ORDER_OUTCOME_UNKNOWN' })),
      'ACT_OUTCOME_UNKNOWN',
    ],
    ['answers nonsense', async () => json(200, { hello: 1 }), 'ACT_OUTCOME_UNKNOWN'],
    [
      'refuses',
      mcpService(async () => Object.assign(new Error('no'), { name: 'POLICY_DENIED' })),
      'ACT_REFUSED',
    ],
  ] as const)('a tool server that %s: said, and never ordered twice', async (_, mcp, code) => {
    const run = await runOnce({ ...healthy, mcp }, mcp === silent ? { actionMs: 100 } : {});
    for (const finding of of(run.hub, 'finding')) await run.hub.repeat(finding);
    expect(of(run.hub, 'svc.mcp', 'act')).toHaveLength(1);
    expect(codesOf(run).filter((each) => each.startsWith('ACT'))).toEqual([code]);
  });

  test('a slow model holds up no reading', async () => {
    const hub = createHub({ ...healthy, llm: silent });
    const city = startCity(hub);
    const analyzer = city.analyzer({ timeoutMs: 60_000 });
    const sensor = await city.sensor('cam-1', INCIDENT);
    await sensor.done;
    expect(sensor.status()).toMatchObject({ phase: 'done', acknowledged: 600 });
    expect(analyzer.status().role).toMatchObject({ readings: 600, findings: 0, open: 1 });
    await analyzer.stop(0);
  });
});
