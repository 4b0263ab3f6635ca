import type { RunningSwarm } from './swarm.ts';

const LOOK_EVERY_MS = 200;
/** Nothing new for so long, twice what an acknowledgement takes, means that nothing is under way. */
const QUIET_MS = 2000;

/**
 * Resolves when every source has ended, its readings are acknowledged, and the ledger has grown by
 * nothing but acknowledgements for a while: what the readings led to is done.
 */
export function whenIdle({ status, ledger, swarm }: RunningSwarm): Promise<void> {
  const sensors = new Set(
    swarm.agents
      .filter(({ config }) => 'source' in Object(config))
      .map(({ member }) => member.token),
  );
  return new Promise((resolve) => {
    let grownAt = performance.now();
    const stop = ledger.onEntry((entry) => {
      if (entry.type === 'record' && entry.record.claims.knd === 'ack') return;
      grownAt = performance.now();
    });
    const timer = setInterval(() => {
      const processes = status().processes.filter(({ name }) => sensors.has(name));
      if (!processes.every(({ report }) => report?.phase === 'done')) return;
      if (performance.now() - grownAt < QUIET_MS) return;
      clearInterval(timer);
      stop();
      resolve();
    }, LOOK_EVERY_MS);
  });
}
