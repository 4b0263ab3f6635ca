import { existsSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { withLock } from '#runtime/tools/lock.mjs';
import { temporaryFolder } from './machine.ts';

let folder: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => folder.remove());

test('holders follow one another and the lock is gone afterwards', async () => {
  const path = join(folder.path, 'deep', 'lock');
  let inside = 0;
  let most = 0;
  const waited: string[] = [];
  const work = async () => {
    inside += 1;
    most = Math.max(most, inside);
    await delay(20);
    inside -= 1;
  };
  const onWait = (holder: string) => waited.push(holder);
  await Promise.all([1, 2, 3].map(() => withLock(path, work, { onWait })));
  expect(most).toBe(1);
  expect(waited).toEqual([`process ${process.pid}`, `process ${process.pid}`]);
  expect(existsSync(path)).toBe(false);
});

test('a failure of the work frees the lock and is told', async () => {
  const path = join(folder.path, 'lock');
  await expect(withLock(path, () => Promise.reject(new Error('broken')))).rejects.toThrow('broken');
  expect(await withLock(path, async () => 'next')).toBe('next');
});

test('a lock without heartbeat is taken over, by one of two waiters at a time', async () => {
  const path = join(folder.path, 'lock');
  writeFileSync(path, '999999 dead');
  const longAgo = new Date(Date.now() - 60_000);
  utimesSync(path, longAgo, longAgo);
  let inside = 0;
  const work = async () => {
    inside += 1;
    expect(inside).toBe(1);
    await delay(10);
    inside -= 1;
  };
  await Promise.all([withLock(path, work), withLock(path, work)]);
  expect(existsSync(`${path}.breaking`)).toBe(false);
});

test('a fresh lock of somebody else is waited for until the caller gives up', async () => {
  const path = join(folder.path, 'lock');
  writeFileSync(path, '999999 alive');
  const stop = new AbortController();
  const waiting = withLock(path, async () => 'never', {
    onWait: () => stop.abort(),
    signal: stop.signal,
  });
  await expect(waiting).rejects.toThrow('aborted');
  expect(existsSync(path)).toBe(true);
});
