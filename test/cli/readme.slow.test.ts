import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CHECKOUT } from '#cli/wiring/checkout.ts';
import { natsServer } from '#test/tools.ts';
import { folder, start } from './support.ts';

/**
 * Every command that the README shows, run as it is written, in the order of the page: those that
 * ask a running swarm while one runs. A command that this file does not know fails it.
 */
const README = readFileSync(join(CHECKOUT, 'README.md'), 'utf8');
const PREFIX = 'npx --no-install swarmproof ';
const place = folder();

function shownCommands(): readonly string[] {
  const blocks = [...README.matchAll(/^```sh\n([\s\S]*?)^```/gm)].map(([, text]) => text ?? '');
  const lines = blocks.join('').split('\n');
  return lines.map((line) => line.replace(/\s+#.*$/, '').trim()).filter((line) => line !== '');
}

interface Ended {
  readonly code: number | string | null;
  readonly out: string;
}

function sh(line: string): Promise<Ended> {
  const { promise, resolve } = Promise.withResolvers<Ended>();
  const PATH = `${dirname(process.execPath)}:${join(CHECKOUT, 'node_modules/.bin')}:${process.env.PATH ?? ''}`;
  const env = { HOME: process.env.HOME ?? '', PATH, SWARMPROOF_NATS_SERVER: natsServer() };
  const options = { cwd: CHECKOUT, env, maxBuffer: 64 * 1024 * 1024 };
  execFile('/bin/sh', ['-c', line], options, (error, out, err) => {
    resolve({ code: error === null ? 0 : (error.code ?? error.signal ?? 1), out: `${out}${err}` });
  });
  return promise;
}

/** The same command on a state folder of this test's own. */
const here = (command: string): string =>
  command
    .replace(PREFIX, `${PREFIX}--state-dir ${place.path} `)
    .replaceAll(/\b(?:evidence|trust)\.json/g, (name) => join(place.path, name));

/** What keeps running until Ctrl-C, or is run by CI itself, or needs an engine that is not here. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  'npm test': 'what runs this very test; .ci/run calls it',
  'docker compose up': 'needs a Docker engine; test/compose.test.ts holds the file to its promises',
  [`${PREFIX}up`]: 'runs below while the others ask it',
  [`${PREFIX}up --input cam-1=readings.csv`]: 'runs below until it has acted',
  [`${PREFIX}up --jaeger`]: 'runs in test/observability/jaeger.slow.test.ts',
};
/** What starts swarms of its own, or needs none. */
const ALONE = /^npm run demo$|swarmproof (?:doctor|scenarios)/;

/** A swarm in the foreground that has acted, and how to stop it as Ctrl-C does. */
async function upUntilAction(...args: readonly string[]): Promise<() => Promise<void>> {
  const running = start(place.path, ['up', ...args], place.path);
  let told = '';
  const acted = Promise.withResolvers<void>();
  const hear = (data: Buffer): void => {
    told += data.toString();
    if (/\baction\b/.test(told)) acted.resolve();
  };
  running.stdout.on('data', hear);
  running.stderr.on('data', hear);
  running.once('close', () => acted.reject(new Error(`ended: ${told}`)));
  await acted.promise;
  return async () => {
    running.kill('SIGINT');
    const [code] = await once(running, 'close');
    expect(code, told).toBe(0);
  };
}

beforeAll(() => {
  const rows = Array.from({ length: 300 }, (_, row) => {
    const at = new Date(Date.UTC(2026, 0, 1) + row * 300_000).toISOString();
    return `${at},${row === 280 ? 4 : 60 + (row % 3)}`;
  });
  writeFileSync(join(place.path, 'readings.csv'), `timestamp,value\n${rows.join('\n')}\n`);
});
afterAll(() => place.remove());

describe('every command of the README', { timeout: 240_000 }, () => {
  const commands = shownCommands();
  test.each(commands.filter((command) => ALONE.test(command)))('%s', async (command) => {
    const { code, out } = await sh(here(command));
    expect(code, out).toBe(0);
  });

  test('the others, against a swarm that `up` started and Ctrl-C stops', async () => {
    const stop = await upUntilAction();
    const asking = commands.filter(
      (command) => !ALONE.test(command) && !Object.hasOwn(ELSEWHERE, command),
    );
    expect(asking.length).toBeGreaterThan(3);
    for (const command of asking) {
      const { code, out } = await sh(here(command));
      expect(code, `${command}\n${out}`).toBe(0);
    }
    await stop();
  });

  test('a file of one’s own is read and acted upon', async () => {
    const stop = await upUntilAction('--input', 'cam-1=readings.csv');
    await stop();
  });

  test('has no command that nothing runs', () => {
    const texts = [...README.matchAll(/npx --no-install swarmproof [a-z][^`\n#]*/g)];
    const inText = texts.map(([text]) => text.trim());
    const unknown = inText.filter((text) => !commands.some((command) => command === text));
    expect(unknown).toEqual([]);
  });
});
