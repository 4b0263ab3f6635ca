import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { SwarmStatus } from '#runtime/supervisor/status.ts';
import { folder, images, survivors } from '#test/swarm/city.ts';
import { type Cli, descendants, statusOf, swarmproof } from '#test/swarm/cli.ts';

const place = folder();
const runPath = join(place.path, 'runs', 'default');
let up: Cli;

beforeAll(async () => {
  await images();
  up = swarmproof('--state-dir', place.path, 'up');
  await up.said('Ctrl-C stops');
}, 300_000);
afterAll(async () => {
  up?.child.kill('SIGINT');
  await up?.ended;
  place.remove();
}, 60_000);

const cam = ({ processes }: SwarmStatus) => processes.find(({ name }) => name === 'sensor-cam-3');

/** Looks until it fits: what happens in another process' swarm has no event here. */
async function until(fits: (status: SwarmStatus) => boolean): Promise<SwarmStatus> {
  for (;;) {
    const status = await statusOf(runPath);
    if (fits(status)) return status;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

describe.skipIf(process.platform !== 'linux')('a run that ends in the middle', () => {
  test.each(['SIGINT', 'SIGKILL'] as const)(
    'by %s leaves the swarm as it was, and nothing of its own',
    async (signal) => {
      const before = await statusOf(runPath);
      const inject = swarmproof('--state-dir', place.path, 'inject', 'agent-impersonation');
      const pid = inject.child.pid ?? 0;
      const held = await until((status) => {
        const now = cam(status);
        return now?.state === 'ready' && now.pid !== cam(before)?.pid;
      });
      const own = descendants(pid);
      expect(own.length).toBeGreaterThan(0);
      inject.child.kill(signal);
      const { code, output } = await inject.ended;
      if (signal === 'SIGINT') {
        expect(code).toBe(1);
        expect(output).toContain('interrupted');
        expect(output).toContain('runs its own image again, readings flow');
      }
      expect(await survivors(own, 15_000)).toEqual([]);
      const after = await until((status) => {
        const now = cam(status);
        return now?.state === 'ready' && now.pid !== cam(held)?.pid;
      });
      expect(after.processes.map(({ name, restarts }) => [name, restarts])).toEqual(
        before.processes.map(({ name, restarts }) => [name, restarts]),
      );
      for (const { name, pid: then } of before.processes) {
        if (name === 'sensor-cam-3') continue;
        expect(after.processes.find((one) => one.name === name)?.pid, name).toBe(then);
      }
      expect(up.child.exitCode).toBeNull();
    },
    300_000,
  );
});
