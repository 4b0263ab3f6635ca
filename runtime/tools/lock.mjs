import { randomUUID } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** A holder refreshes its lock each second; one that did not for this long is dead. */
const HEARTBEAT_MS = 1_000;
const ABANDONED_MS = 10_000;

/** @param {unknown} error @returns {string | undefined} */
function codeOf(error) {
  return error instanceof Error && 'code' in error ? String(error.code) : undefined;
}

/** @param {string} path @param {string} content @returns {boolean} made by this call */
function make(path, content) {
  try {
    writeFileSync(path, content, { flag: 'wx', mode: 0o600 });
    return true;
  } catch (error) {
    if (codeOf(error) === 'EEXIST') return false;
    throw error;
  }
}

/** @param {string} path @returns {number | undefined} milliseconds since its last heartbeat */
function ageOf(path) {
  try {
    return Date.now() - statSync(path).mtimeMs;
  } catch {
    return undefined;
  }
}

/**
 * Takes away an abandoned lock. A second file guards the taking, so that of two waiters the slower
 * one cannot remove the lock that the faster one has just made.
 *
 * @param {string} path
 */
function breakAbandoned(path) {
  const guard = `${path}.breaking`;
  if (!make(guard, '')) {
    if ((ageOf(guard) ?? 0) > ABANDONED_MS) rmSync(guard, { force: true });
    return;
  }
  if ((ageOf(path) ?? 0) > ABANDONED_MS) rmSync(path, { force: true });
  rmSync(guard, { force: true });
}

/**
 * Runs `work` while holding the lock file `path`, for one process at a time. Liveness is judged by
 * the file's age, not by a process id, which says nothing across containers or after a reboot.
 *
 * @template T
 * @param {string} path
 * @param {() => Promise<T>} work
 * @param {{ onWait?: (holder: string) => void, signal?: AbortSignal }} [options]
 * @returns {Promise<T>}
 */
export async function withLock(path, work, options = {}) {
  mkdirSync(dirname(path), { recursive: true });
  const mine = `${process.pid} ${randomUUID()}`;
  let told = false;
  while (!make(path, mine)) {
    options.signal?.throwIfAborted();
    if ((ageOf(path) ?? 0) > ABANDONED_MS) {
      breakAbandoned(path);
      continue;
    }
    if (!told) options.onWait?.(holderOf(path));
    told = true;
    await delay(200, undefined, options.signal === undefined ? {} : { signal: options.signal });
  }
  const heartbeat = setInterval(() => {
    try {
      utimesSync(path, new Date(), new Date());
    } catch {
      // Somebody removed the folder; the work itself will say so.
    }
  }, HEARTBEAT_MS);
  try {
    return await work();
  } finally {
    clearInterval(heartbeat);
    if (contentOf(path) === mine) rmSync(path, { force: true });
  }
}

/** @param {string} path @returns {string} */
function contentOf(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** @param {string} path @returns {string} */
function holderOf(path) {
  return `process ${contentOf(path).split(' ')[0] || 'unknown'}`;
}
