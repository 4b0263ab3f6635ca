import { join } from 'node:path';
import type { Control } from '#cli/wiring/controls.ts';
import { type RunningSwarm, startSwarm } from '#cli/wiring/swarm.ts';
import { observeWorksState, type WorksSeen } from '#cli/wiring/works-observer.ts';
import { ACTION, type AgentSpec, ANALYZER, folder, images, swarmFile } from '#test/swarm/city.ts';
import { natsServer, opaIfThere } from '#test/tools.ts';

export const SOURCE = { kind: 'simulated', seed: 3, rows: 400, anomalies: 1 };
export const AGENTS = [{ role: 'sensor', name: 'cam-1', source: SOURCE }, ANALYZER, ACTION];

export interface Flow {
  readonly running: RunningSwarm;
  readonly place: ReturnType<typeof folder>;
  /** What the city works showed when the ledger had the answer to the first order. */
  readonly works: WorksSeen;
  close(): Promise<void>;
}

/** A whole swarm with these controls off, until one reading has become an order that was carried out. */
export async function flowWithout(
  off: readonly Control[],
  place = folder(),
  agents: readonly AgentSpec[] = AGENTS,
): Promise<Flow> {
  await images();
  const running = await startSwarm({
    file: swarmFile(place.path, agents),
    inputs: [],
    runPath: join(place.path, 'run'),
    runId: 'test',
    natsServer: natsServer(),
    opa: await opaIfThere(),
    off,
  });
  const close = async (): Promise<void> => {
    await running.stop();
    place.remove();
  };
  await running.ledger.entry(
    (entry) =>
      entry.type === 'record' &&
      entry.record.claims.knd === 'tool.result' &&
      entry.record.claims.sbj.startsWith('_INBOX.action-action-1.mcp.'),
  );
  return { running, place, works: await observeWorksState(running.observe), close };
}
