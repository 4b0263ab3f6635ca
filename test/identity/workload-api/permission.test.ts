import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Code } from '@connectrpc/connect';
import { build } from 'esbuild';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { leafToday, OWN, rootToday, svidOf } from '../support/pushed.ts';
import { startWorkloadServer, type WorkloadServer } from '../support/workload-server.ts';

const ID = `spiffe://${OWN}/agent/sensor/north/cam-1`;
const entry = new URL('../support/permission-agent.ts', import.meta.url).pathname;
let folder: string;
let server: WorkloadServer;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'swarmproof-image-'));
  server = await startWorkloadServer();
  await build({
    entryPoints: [entry],
    outfile: join(folder, 'agent.mjs'),
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    logLevel: 'error',
    banner: {
      js: "import{createRequire as r}from'node:module';const require=r(import.meta.url);",
    },
  });
});
afterAll(async () => {
  await server.close();
  rmSync(folder, { recursive: true });
});

test('one bundled file under the permission model gets, rotates and loses its SVID', async () => {
  const child = spawn(
    process.execPath,
    [
      '--permission',
      `--allow-fs-read=${folder}/`,
      '--no-experimental-sqlite',
      '--disable-sigusr1',
      join(folder, 'agent.mjs'),
      server.path,
    ],
    { stdio: ['ignore', 'pipe', 'pipe'], env: {} },
  );
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  let trouble = '';
  child.stderr.setEncoding('utf8').on('data', (text) => {
    trouble += text;
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const nextLine = async (): Promise<unknown> => {
    const { value } = await lines.next();
    return JSON.parse(value ?? JSON.stringify({ trouble }));
  };
  const exited = once(child, 'exit');
  const root = await rootToday();
  const message = async () => ({ svids: [svidOf(await leafToday(root, ID), ID, root)] });

  const stream = await server.next();
  stream.send(await message());
  const pem = ['CERTIFICATE', 'PRIVATE KEY', 'CERTIFICATE'].map(
    (what) => `-----BEGIN ${what}-----`,
  );
  expect(await nextLine()).toEqual({ id: ID, pem, rights: [] });
  stream.send(await message());
  expect(await nextLine()).toEqual({ id: ID, pem, rights: [] });
  stream.fail(Code.PermissionDenied, 'entry deleted');
  expect(await nextLine()).toEqual({ error: 'Error: no X.509-SVID: denied: entry deleted' });
  expect((await exited)[0]).toBe(0);
  expect(trouble).toBe('');
});
