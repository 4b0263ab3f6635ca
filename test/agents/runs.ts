import type { Finding } from '#agents/finding.ts';
import { llmService, mcpService, startCity, vectorService } from './city.ts';
import { createHub, type Hub, type HubRecord, type Service } from './hub.ts';

const ok = mcpService(async () => ({ done: true }));
export const healthy = { vector: vectorService, llm: llmService, mcp: ok };
export const INCIDENT = { source: { kind: 'simulated', seed: 7, rows: 600, anomalies: 1 } };

export const of = (hub: Hub, kind: string, recordKind?: string): HubRecord[] =>
  hub.records.filter((r) => r.kind === kind && (!recordKind || r.recordKind === recordKind));
export const findingsOf = (hub: Hub) => of(hub, 'finding').map(({ payload }) => payload as Finding);

export async function runOnce(services: Readonly<Record<string, Service>>, config: unknown = {}) {
  const hub = createHub(services);
  const city = startCity(hub);
  const action = city.action({ timeoutMs: 100 });
  const analyzer = city.analyzer({ timeoutMs: 100, ...(config as object) });
  const sensor = await city.sensor('cam-1', INCIDENT);
  await sensor.done;
  await city.stop();
  return { hub, said: city.said, sensor, analyzer, action };
}
export const codesOf = (run: { said: readonly { code: string }[] }) =>
  run.said.map(({ code }) => code);
