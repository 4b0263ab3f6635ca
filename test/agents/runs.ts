import type { Finding } from '#agents/finding.ts';
import { llmService, mcpService, startCity, vectorService } from './city.ts';
import { createHub, type Hub, type HubRecord, type Service } from './hub.ts';

const ok = mcpService(async () => ({ done: true }));
export const healthy = { vector: vectorService, llm: llmService, mcp: ok };
export const INCIDENT = { source: { kind: 'simulated', seed: 7, rows: 600, anomalies: 1 } };

export const of = (hub: Hub, kind: string, recordKind?: string): HubRecord[] =>
  hub.records.filter((r) => r.kind === kind && (!recordKind || r.recordKind === recordKind));
export const findingsOf = (hub: Hub) => of(hub, 'finding').map(({ payload }) => payload as Finding);

/** Who is asked in a test answers; nothing but a service that never does uses up its time. */
const PATIENCE_MS = 60_000;

/** How long the analyzer waits for model and vector service, and the action agent for its tools. */
export async function runOnce(
  services: Readonly<Record<string, Service>>,
  patience: { readonly analyzerMs?: number; readonly actionMs?: number } = {},
) {
  const { analyzerMs = PATIENCE_MS, actionMs = PATIENCE_MS } = patience;
  const hub = createHub(services);
  const city = startCity(hub);
  const action = city.action({ timeoutMs: actionMs });
  const analyzer = city.analyzer({ timeoutMs: analyzerMs });
  const sensor = await city.sensor('cam-1', INCIDENT);
  await sensor.done;
  await city.stop();
  return { hub, said: city.said, sensor, analyzer, action };
}
export const codesOf = (run: { said: readonly { code: string }[] }) =>
  run.said.map(({ code }) => code);
