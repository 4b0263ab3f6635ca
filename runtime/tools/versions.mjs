import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { run } from './run.mjs';

/**
 * Orders two dotted versions by number, part by part; absent parts are 0.
 *
 * @param {string} a
 * @param {string} b
 * @returns {number} negative when a is older
 */
export function compareVersions(a, b) {
  const left = a.split('.').map(Number);
  const right = b.split('.').map(Number);
  for (let part = 0; part < Math.max(left.length, right.length); part += 1) {
    const difference = (left[part] ?? 0) - (right[part] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** @param {string} path @returns {boolean} */
export function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/**
 * @param {string} name
 * @param {string | undefined} path the PATH to search
 * @returns {string | undefined} absolute path of the first executable of that name
 */
export function onPath(name, path) {
  return (path ?? '')
    .split(delimiter)
    .filter((folder) => folder.startsWith('/'))
    .map((folder) => join(folder, name))
    .find(isExecutable);
}

/**
 * Asks a tool for its version by running it: a file that does not run here (other platform, newer
 * libc, damaged) has none.
 *
 * @param {string} path
 * @param {{ versionArgs: readonly string[], versionPattern: RegExp }} tool
 * @param {AbortSignal} [signal]
 * @returns {Promise<{ version?: string, why: string }>}
 */
export async function versionOf(path, tool, signal) {
  const asked = await run(path, tool.versionArgs, {
    timeoutMs: 20_000,
    ...(signal === undefined ? {} : { signal }),
  });
  if (!asked.ok) return { why: `does not run (${asked.why})` };
  const version = tool.versionPattern.exec(asked.stdout + asked.stderr)?.[1];
  return version === undefined ? { why: 'does not say its version' } : { version, why: '' };
}
