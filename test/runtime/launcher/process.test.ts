import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { finished } from 'node:stream/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openProcessLog } from '#runtime/launcher/log-file.ts';
import { executableFile, processStartTime, pssKiB } from '#runtime/process-info.ts';
import { tempFolder } from '../support.ts';

let folder = '';
let remove: () => Promise<void>;
beforeEach(async () => {
  ({ path: folder, remove } = await tempFolder());
});
afterEach(() => remove());

describe('a process log', () => {
  test('is bounded: one file and its predecessor, whatever is written', async () => {
    const path = join(folder, 'flood.log');
    const log = openProcessLog(path, 1000);
    const output = new PassThrough();
    log.take(output);
    for (let line = 0; line < 500; line++) output.write(`line ${line} ${'x'.repeat(40)}\n`);
    output.end();
    await finished(output);
    log.close();
    expect((await readdir(folder)).sort()).toEqual(['flood.log', 'flood.log.1']);
    for (const name of ['flood.log', 'flood.log.1']) {
      const { size, mode } = await stat(join(folder, name));
      expect(size).toBeLessThanOrEqual(1000);
      expect(mode & 0o777).toBe(0o600);
    }
    expect(await readFile(path, 'utf8')).toContain('line 499');
    expect(log.tail()).toContain('line 499');
  });

  test('goes on after a restart where it ended', async () => {
    const path = join(folder, 'a.log');
    for (const text of ['first\n', 'second\n']) {
      const log = openProcessLog(path);
      const output = new PassThrough();
      log.take(output);
      output.end(text);
      await finished(output);
      log.close();
    }
    expect(await readFile(path, 'utf8')).toBe('first\nsecond\n');
  });
});

describe('a process', () => {
  test('is named by its PID and start time, which its successor does not share', async () => {
    const child = spawn('/bin/sleep', ['60']);
    await once(child, 'spawn');
    const start = await processStartTime(child.pid ?? 0);
    expect(start).toEqual(expect.any(Number));
    expect(await processStartTime(child.pid ?? 0)).toBe(start);
    expect(start).not.toBe(await processStartTime(1));
    child.kill('SIGKILL');
    await once(child, 'close');
    expect(await processStartTime(child.pid ?? 0)).toBeUndefined();
  });

  test.runIf(process.platform === 'linux')(
    'has a proportional set size, and none when gone',
    () => {
      expect(pssKiB(process.pid)).toBeGreaterThan(1000);
      expect(pssKiB(2 ** 22 + 1)).toBeUndefined();
    },
  );

  test('has an executable that device and inode name', async () => {
    const exe = await executableFile(process.execPath);
    expect(exe).toEqual({
      path: process.execPath,
      dev: expect.stringMatching(/^\d+$/),
      ino: expect.stringMatching(/^\d+$/),
    });
  });
});
