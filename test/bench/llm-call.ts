import { randomBytes } from 'node:crypto';
import { performance } from 'node:perf_hooks';
import fastify from 'fastify';
import { loadBundle } from '#policy/bundle.ts';
import { openPolicy } from '#policy/engine.ts';
import { createService } from '#services/index.ts';
import { createMockModel } from '#services/llm/mock-model.ts';
import { chatRequest } from '#services/llm/schema.ts';
import { MEMBERS, startSwarm } from '../support/swarm.ts';
import type { Measure } from './bus.ts';

const CALLS = 300;
const POLICY = new URL('../../policy/', import.meta.url).pathname;
const CHAT = JSON.stringify({
  model: 'city-small',
  messages: [{ role: 'user', content: `Finding: ${'speed 11 km/h; '.repeat(60)}` }],
});

/** Median and 99th percentile of calls made one after the other, in milliseconds. */
async function latency(call: () => Promise<number>): Promise<{ p50: number; p99: number }> {
  const times: number[] = [];
  for (let done = 0; done < CALLS; done += 1) {
    const began = performance.now();
    const status = await call();
    if (status !== 200) throw new Error(`bench: the model answered ${status}`);
    if (done >= CALLS / 10) times.push(performance.now() - began);
  }
  times.sort((a, b) => a - b);
  const at = (share: number): number => times[Math.floor(times.length * share)] ?? Number.NaN;
  return { p50: at(0.5), p99: at(0.99) };
}

/** The same model and body behind a bare HTTP route on loopback. */
async function bareRoute(): Promise<{ p50: number; p99: number }> {
  const model = createMockModel(() => 0);
  const app = fastify();
  app.post('/v1/chat/completions', async (request) => {
    const answer = await model(chatRequest.parse(request.body));
    return answer.ok ? answer.value : {};
  });
  const address = await app.listen({ host: '127.0.0.1', port: 0 });
  try {
    return await latency(async () => {
      const answer = await fetch(`${address}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: CHAT,
      });
      await answer.text();
      return answer.status;
    });
  } finally {
    await app.close();
  }
}

/** With everything: mTLS, gate, signed request and answer, door, policy, budget, ledger. */
async function throughTheSwarm(): Promise<{ p50: number; p99: number }> {
  const { analyzer, llm } = MEMBERS;
  const swarm = await startSwarm();
  try {
    await swarm.streams();
    const ledger = await swarm.ledger();
    const policy = await openPolicy({
      bundle: loadBundle(POLICY, undefined).bytes,
      data: {
        trust_domain: 'city.example',
        members: { [analyzer.id]: analyzer, [llm.id]: llm },
        grants: {
          [analyzer.id]: {
            services: ['llm'],
            models: ['city-small'],
            budget: { calls_per_minute: 1e9, tokens_per_hour: 1e12 },
          },
        },
      },
    });
    const service = await createService('llm', {
      self: llm.id,
      config: {},
      policy,
      now: () => new Date(),
      tick: () => process.hrtime.bigint(),
      randomId: () => randomBytes(16).toString('base64url'),
      onDecision: () => {},
      models: ['city-small'],
    });
    const served = await swarm.client(llm);
    await served.client.serve({ service: 'llm', handler: service.handle });
    const asking = await swarm.client(analyzer);
    const result = await latency(async () => {
      const answer = await asking.client.request({
        service: 'llm',
        request: {
          method: 'POST',
          path: '/v1/chat/completions',
          contentType: 'application/json',
          body: CHAT,
        },
        recordKind: 'tool.call',
        timeoutMs: 10_000,
      });
      return answer.ok ? answer.payload.status : 0;
    });
    await asking.client.close();
    await served.client.close();
    await service.close();
    await ledger.close();
    return result;
  } finally {
    await swarm.stop();
  }
}

/** What identity, policy and custody add to one model call, in one run. */
export async function benchLlmCall(): Promise<Measure[]> {
  const bare = await bareRoute();
  const full = await throughTheSwarm();
  return [
    { name: 'model call over a bare HTTP route, p50', value: bare.p50, unit: 'ms' },
    { name: 'model call over a bare HTTP route, p99', value: bare.p99, unit: 'ms' },
    { name: 'model call with identity, policy and custody, p50', value: full.p50, unit: 'ms' },
    { name: 'model call with identity, policy and custody, p99', value: full.p99, unit: 'ms' },
    { name: 'added per model call, p50', value: full.p50 - bare.p50, unit: 'ms' },
  ];
}
