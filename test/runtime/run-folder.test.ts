import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { stateRefusal } from '#runtime/file-errors.ts';
import { maxSocketPath, openRunFolder } from '#runtime/run-folder.ts';
import { WITNESS_NAMES } from '#runtime/witness/names.ts';
import { tempFolder, value } from './support.ts';

let folder = '';
let remove: () => Promise<void>;
beforeEach(async () => {
  ({ path: folder, remove } = await tempFolder());
});
afterEach(() => remove());

const open = (name: string) =>
  openRunFolder({ path: join(folder, name), id: name, tempDir: folder });
const mode = async (path: string): Promise<number> => (await stat(path)).mode & 0o777;

describe('a run folder', () => {
  test('is private, with a token that only its owner reads', async () => {
    const run = value(await open('a'));
    expect(await mode(run.path)).toBe(0o700);
    expect(await mode(run.tokenFile)).toBe(0o600);
    expect(run.token).toMatch(/^[0-9a-f]{64}$/);
    expect(await readFile(run.tokenFile, 'utf8')).toBe(run.token);
    await run.close();
  });

  test('has a private folder for the keys of the log, and for the witnesses, which it keeps', async () => {
    const run = value(await open('a'));
    for (const path of [run.custody, run.witnesses]) {
      expect(await mode(path)).toBe(0o700);
      await writeFile(join(path, 'key'), 'kept');
    }
    const sockets = WITNESS_NAMES.map((name) => run.witnessSocket(name));
    expect(new Set(sockets.map(dirname)).size).toBe(WITNESS_NAMES.length);
    for (const socket of sockets) {
      expect(await mode(dirname(socket))).toBe(0o700);
      expect(socket.length).toBeLessThan(run.workloadSocket.length);
    }
    await run.close();
    await expect(stat(dirname(sockets[0] ?? ''))).rejects.toMatchObject({ code: 'ENOENT' });
    const again = value(await open('a'));
    expect(await readFile(join(again.custody, 'key'), 'utf8')).toBe('kept');
    await again.close();
  });

  test('leaves no socket and no token when it is closed, and keeps its state', async () => {
    const run = value(await open('a'));
    await writeFile(join(run.nats, 'state'), 'kept');
    await writeFile(run.workloadSocket, '');
    await run.close();
    expect((await readdir(run.path)).filter((name) => /sock|token|path/.test(name))).toEqual([]);
    const again = value(await open('a'));
    expect(await readFile(join(again.nats, 'state'), 'utf8')).toBe('kept');
    expect(again.token).not.toBe(run.token);
    await again.close();
  });

  test('stands beside another', async () => {
    const [a, b] = [value(await open('a')), value(await open('b'))];
    expect(a.workloadSocket).not.toBe(b.workloadSocket);
    await a.close();
    await b.close();
  });

  test('moves its sockets to a short private folder when its path is too long, and removes that', async () => {
    const long = 'x'.repeat(maxSocketPath(process.platform));
    const run = value(await open(long));
    expect(Buffer.byteLength(run.workloadSocket)).toBeLessThanOrEqual(
      maxSocketPath(process.platform),
    );
    expect(await mode(join(run.workloadSocket, '..'))).toBe(0o700);
    expect(await readFile(join(run.path, 'control.path'), 'utf8')).toBe(run.controlSocket);
    await run.close();
    expect(await readdir(folder)).toEqual([long]);
  });

  test('with no short folder either is refused with the limit', async () => {
    const long = join(folder, 'x'.repeat(110));
    const outcome = await openRunFolder({ path: long, id: 'a', tempDir: long });
    expect(outcome).toMatchObject({ ok: false, code: 'SOCKET_PATH_TOO_LONG' });
    expect(outcome.ok ? '' : outcome.detail).toContain(String(maxSocketPath(process.platform)));
  });
});

/** Another process that opens the folder, says what came of it, and waits. */
function holder(path: string) {
  const module = new URL('../../runtime/run-folder.ts', import.meta.url).href;
  const code = `const { openRunFolder } = await import(${JSON.stringify(module)});
    const outcome = await openRunFolder({ path: ${JSON.stringify(path)}, id: 'a', tempDir: '/tmp' });
    process.send(outcome.ok ? 'open' : outcome.detail);
    process.on('disconnect', () => process.exit());`;
  return spawn(process.execPath, ['--input-type=module', '-e', code], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
}

describe('the lock of a run folder', () => {
  test('refuses a second start and names the first; killed with -9 it locks nobody out', async () => {
    const path = join(folder, 'a');
    const first = holder(path);
    expect(await once(first, 'message')).toEqual(['open', undefined]);
    const refused = await open('a');
    expect(refused).toMatchObject({ ok: false, code: 'STATE_LOCKED' });
    expect(refused.ok ? '' : refused.detail).toContain(`process ${first.pid}`);
    first.kill('SIGKILL');
    await once(first, 'exit');
    const run = value(await open('a'));
    await run.close();
  });

  test('lets one of many win', async () => {
    const path = join(folder, 'a');
    await mkdir(path);
    const all = [1, 2, 3].map(() => holder(path));
    const said = await Promise.all(
      all.map(async (child) => String((await once(child, 'message'))[0])),
    );
    expect(said.filter((text) => text === 'open')).toHaveLength(1);
    for (const child of all) child.disconnect();
    await Promise.all(all.map((child) => once(child, 'exit')));
  });

  test('refuses a second opening by the same process', async () => {
    const run = value(await open('a'));
    expect(await open('a')).toMatchObject({ ok: false, code: 'STATE_LOCKED' });
    await run.close();
    await value(await open('a')).close();
  });
});

describe('a state folder that cannot be used is one line with the fix', () => {
  test('below a file', async () => {
    await writeFile(join(folder, 'file'), '');
    const outcome = await openRunFolder({
      path: join(folder, 'file', 'run'),
      id: 'a',
      tempDir: folder,
    });
    expect(outcome).toMatchObject({ ok: false, code: 'STATE_UNWRITABLE' });
    expect(outcome.ok ? '' : outcome.detail).toMatch(/--state-dir$/);
  });

  test.runIf(process.platform === 'linux')('where the system lets nobody write', async () => {
    const outcome = await openRunFolder({ path: '/proc/self/run', id: 'a', tempDir: folder });
    expect(outcome).toMatchObject({ ok: false, code: 'STATE_UNWRITABLE' });
    expect(outcome.ok ? '' : outcome.detail).not.toContain('\n');
  });

  test.runIf(process.platform === 'linux')('on a full disk', () => {
    try {
      writeFileSync('/dev/full', 'x');
      expect.unreachable();
    } catch (error) {
      expect(stateRefusal('/state', error)).toMatchObject({ code: 'STATE_FULL' });
    }
    expect(stateRefusal('/state', Object.assign(new Error(), { code: 'EROFS' }))).toMatchObject({
      code: 'STATE_UNWRITABLE',
      detail: '/state: is on a read-only file system; choose another folder with --state-dir',
    });
  });
});
