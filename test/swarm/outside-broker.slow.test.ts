import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { natsServer } from '../tools.ts';
import { ACTION, ANALYZER, folder, images, survivors, swarmFile } from './city.ts';
import { pidsIn, statusOf, swarmproofIn } from './cli.ts';

const SCRIPT = new URL('../../runtime/launcher/broker-outside.sh', import.meta.url).pathname;
const CAM = {
  role: 'sensor',
  name: 'cam-1',
  source: { kind: 'simulated', seed: 7, rows: 100_000, anomalies: 400, intervalMs: 20 },
};

let place: ReturnType<typeof folder>;
let other: ChildProcess | undefined;
beforeEach(() => {
  place = folder();
});
afterEach(async () => {
  if (other !== undefined && other.exitCode === null) {
    const gone = once(other, 'exit');
    other.kill('SIGTERM');
    await gone;
  }
  place.remove();
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await once(server.close(), 'close');
  return port;
}

test('a swarm acts over a broker that somebody else runs, outlives its kill, and ends it', async () => {
  await images();
  const run = join(place.path, 's', 'runs', 'default');
  const config = join(run, 'nats', 'nats-server.conf');
  other = spawn(SCRIPT, [config, natsServer()], {
    stdio: 'ignore',
    env: { PATH: '/usr/bin:/bin' },
  });
  const port = await freePort();
  const cli = swarmproofIn(
    { SWARMPROOF_NATS_SERVER: '', SWARMPROOF_NATS_EXTERNAL: String(port) },
    ...['--state-dir', join(place.path, 's'), 'up', swarmFile(place.path, [CAM, ANALYZER, ACTION])],
  );
  await cli.said(' action ');
  const before = await statusOf(run);
  const nats = before.processes.find(({ name }) => name === 'nats');
  expect(nats).toMatchObject({ state: 'ready' });
  expect(nats).not.toHaveProperty('pid');

  const pid = Number(readFileSync(join(run, 'nats', 'nats-server.pid'), 'utf8'));
  process.kill(pid, 'SIGKILL');
  await cli.said(`the broker on 127.0.0.1:${port} has gone`);
  await cli.said('run by somebody else');
  const acted = async () => (await statusOf(run)) as { counts?: { agentActs?: number } };
  const count = (await acted()).counts?.agentActs ?? 0;
  while (((await acted()).counts?.agentActs ?? 0) <= count) {
    await new Promise((resolve) => setTimeout(resolve, 200));
  }

  const again = Number(readFileSync(join(run, 'nats', 'nats-server.pid'), 'utf8'));
  const pids = pidsIn(await statusOf(run));
  cli.child.kill('SIGINT');
  expect(await cli.ended).toMatchObject({ code: 0 });
  expect(await survivors([...pids, again], 60_000)).toEqual([]);
}, 300_000);

test('what is no port is refused by the name of its variable', async () => {
  const cli = swarmproofIn(
    { SWARMPROOF_NATS_EXTERNAL: 'nats:4222' },
    ...['--state-dir', join(place.path, 's'), 'up'],
  );
  const { code, output } = await cli.ended;
  expect(code).toBe(1);
  expect(output).toContain('SWARMPROOF_NATS_EXTERNAL is no port number');
});
