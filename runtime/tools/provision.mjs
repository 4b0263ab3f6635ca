import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { fromArchive } from './debian.mjs';
import { DOWNLOAD_LIMITS, download } from './download.mjs';
import { fromGo } from './go.mjs';
import { withLock } from './lock.mjs';
import { run } from './run.mjs';
import { compareVersions, isExecutable, onPath, versionOf } from './versions.mjs';

/** @typedef {import('./catalog.mjs').Tool} Tool */

/**
 * @typedef {object} Place
 * @property {string} toolsFolder the cache; everything is written below it
 * @property {NodeJS.ProcessEnv} environment
 * @property {string} platform `process.platform`
 * @property {string} arch `process.arch`
 * @property {(line: string) => void} say one progress line
 * @property {boolean} [quiet] leaves out which ways failed; the caller tells the outcome
 * @property {string} [releaseBase] replaces the official base URL; the pinned sums stay
 * @property {import('./download.mjs').DownloadLimits} [limits]
 * @property {AbortSignal} [signal]
 */

/** @typedef {{ ok: true, path: string, version: string, source: string }} Found */
/** @typedef {{ ok: false, tool: string, reasons: string[], byHand: string }} Missing */
/** @typedef {{ path?: string, version?: string, source: string, why: string }} Attempt */

/** @param {Tool} tool @param {string} version @param {boolean} named by the user, not found by us */
export function refuseVersion(tool, version, named) {
  if (compareVersions(version, tool.minimum) < 0) {
    return `is ${version}, needed is ${tool.minimum} or newer (${tool.why})`;
  }
  if (!named && tool.exactly !== undefined && version !== tool.exactly) {
    return `is ${version}, needed is exactly ${tool.exactly} (${tool.why})`;
  }
  return '';
}

/**
 * What is on the machine already: the environment variable (which must work when it is set), then
 * the PATH, then the cache. Changes nothing.
 *
 * @param {Tool} tool
 * @param {Pick<Place, 'toolsFolder' | 'environment' | 'signal'>} place
 * @returns {Promise<Found | Missing>}
 */
export async function locate(tool, place) {
  /** @type {string[]} */
  const reasons = [];
  const named = place.environment[tool.variable];
  const cached = join(place.toolsFolder, tool.name);
  const candidates = named
    ? [{ path: named, source: tool.variable }]
    : [
        { path: onPath(tool.name, place.environment.PATH), source: 'PATH' },
        { path: isExecutable(cached) ? cached : undefined, source: cacheSource(cached) },
      ];
  for (const { path, source } of candidates) {
    if (path === undefined) {
      reasons.push(`${source}: not there`);
      continue;
    }
    const { version, why } = await versionOf(path, tool, place.signal);
    const refused = version === undefined ? why : refuseVersion(tool, version, named === path);
    if (version !== undefined && refused === '') return { ok: true, path, version, source };
    reasons.push(`${source}: ${path} ${refused}`);
  }
  const byHand = named ? `correct or unset ${tool.variable}` : '';
  return { ok: false, tool: tool.name, reasons, byHand };
}

/**
 * Finds the tool or brings it into the cache, by the first way that works.
 *
 * @param {Tool} tool
 * @param {Place} place
 * @returns {Promise<Found | Missing>}
 */
export async function provision(tool, place) {
  const there = await locate(tool, place);
  if (there.ok || there.byHand !== '') return there;
  mkdirSync(place.toolsFolder, { recursive: true });
  const lock = join(place.toolsFolder, `${tool.name}.lock`);
  const onWait = (/** @type {string} */ holder) =>
    place.say(`${tool.name}: waiting for ${holder}, which provisions it too`);
  const signal = place.signal === undefined ? {} : { signal: place.signal };
  return withLock(lock, () => fetchTool(tool, place), { onWait, ...signal });
}

/** @param {Tool} tool @param {Place} place @returns {Promise<Found | Missing>} */
async function fetchTool(tool, place) {
  // Whoever held the lock before may have brought it.
  const there = await locate(tool, place);
  if (there.ok) return there;
  const { reasons } = there;
  const { aptPackage } = tool;
  const shared = {
    environment: place.environment,
    ...(place.signal === undefined ? {} : { signal: place.signal }),
  };
  /** @type {{ name: string, get: (folder: string) => Promise<Attempt> }[]} */
  const ways = [
    { name: 'release', get: (folder) => fromRelease(tool, place, folder) },
    {
      name: 'apt',
      get: async (folder) =>
        aptPackage === undefined
          ? { source: '', why: 'not in Debian or Ubuntu' }
          : fromArchive({ packageName: aptPackage, folder, ...shared }),
    },
    {
      name: 'go',
      get: (folder) => fromGo({ name: tool.name, ...tool.go, folder, say: place.say, ...shared }),
    },
  ];
  const tell = place.quiet ? () => {} : place.say;
  for (const way of ways) {
    place.signal?.throwIfAborted();
    tell(`${tool.name}: trying ${way.name}`);
    const folder = mkdtempSync(join(place.toolsFolder, `${tool.name}.`));
    try {
      const got = await way.get(folder);
      const why = got.path === undefined ? got.why : await keep(tool, got.path, got.source, place);
      const found = why === '' ? await locate(tool, place) : undefined;
      if (found?.ok) {
        place.say(`${tool.name}: ${found.version} from ${got.source}`);
        return found;
      }
      tell(`${tool.name}: ${way.name}: ${why}`);
      reasons.push(`${way.name}: ${why}`);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  }
  const hand = tool.byHand[place.platform] ?? tool.byHand.other ?? '';
  const byHand = `${hand}, or set ${tool.variable} to its path`;
  return { ok: false, tool: tool.name, reasons, byHand };
}

/**
 * Moves an executable that runs here, and has a good version, into the cache in one rename: a
 * reader sees the old file or the new one, never half of it.
 *
 * @param {Tool} tool
 * @param {string} path
 * @param {string} source
 * @param {Place} place
 * @returns {Promise<string>} why not; empty when it is there
 */
async function keep(tool, path, source, place) {
  chmodSync(path, 0o755);
  const { version, why } = await versionOf(path, tool, place.signal);
  const refused = version === undefined ? why : refuseVersion(tool, version, false);
  if (refused !== '') return refused;
  const cached = join(place.toolsFolder, tool.name);
  writeFileSync(`${cached}.json`, `${JSON.stringify({ source, version })}\n`);
  renameSync(path, cached);
  return '';
}

/** @param {Tool} tool @param {Place} place @param {string} folder @returns {Promise<Attempt>} */
async function fromRelease(tool, place, folder) {
  const platform = `${place.platform}-${place.arch}`;
  const file = tool.release.files[platform];
  if (file === undefined) return { source: '', why: `no pinned SHA-256 for ${platform}` };
  const base = place.releaseBase ?? tool.release.base;
  const target = join(folder, file.file);
  const why = await download({
    url: `${base.replace(/\/$/, '')}/${file.file}`,
    target,
    sha256: file.sha256,
    limits: place.limits ?? DOWNLOAD_LIMITS,
    ...(place.signal === undefined ? {} : { signal: place.signal }),
  });
  if (why !== '') return { source: '', why };
  const source = `release ${file.file}`;
  const executable = join(folder, 'executable');
  if (file.member === undefined) {
    copyFileSync(target, executable);
    return { path: executable, source, why: '' };
  }
  const unpacked = await run('tar', ['-xzf', target, '-C', folder, file.member], {
    timeoutMs: 60_000,
    env: place.environment,
  });
  if (!unpacked.ok) return { source: '', why: `tar: ${unpacked.why}` };
  return { path: join(folder, file.member), source, why: '' };
}

/** @param {string} cached @returns {string} where the cached executable once came from */
function cacheSource(cached) {
  if (!existsSync(`${cached}.json`)) return 'cache';
  try {
    const origin = JSON.parse(readFileSync(`${cached}.json`, 'utf8')).source;
    return typeof origin === 'string' ? `cache (${origin})` : 'cache';
  } catch {
    return 'cache';
  }
}
