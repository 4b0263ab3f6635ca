import { existsSync, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { withLock } from './lock.mjs';
import { findNode, OLDEST_NODE, packagedNode } from './node.mjs';
import { run } from './run.mjs';
import { compareVersions, onPath, versionOf } from './versions.mjs';

/** @typedef {{ version?: string, integrity?: string, optional?: boolean, link?: boolean }} Entry */
/** @typedef {Record<string, Entry>} Entries */

const NPM_CI_MS = 900_000;

/**
 * Compares what the lock file asks for with npm's own note of what is installed. Optional packages
 * may be absent (they are for other platforms), never of another version.
 *
 * @param {Entries} wanted `packages` of package-lock.json
 * @param {Entries} installed `packages` of node_modules/.package-lock.json
 * @returns {string} the first difference; empty when there is none
 */
export function lockDifference(wanted, installed) {
  for (const [path, entry] of Object.entries(wanted)) {
    if (path === '') continue;
    const there = installed[path];
    if (there === undefined) {
      if (entry.optional !== true) return `${path} is missing`;
    } else if (there.version !== entry.version || there.integrity !== entry.integrity) {
      return `${path} is ${there.version}, locked is ${entry.version}`;
    }
  }
  const extra = Object.keys(installed).find((path) => wanted[path] === undefined);
  return extra === undefined ? '' : `${extra} is not in the lock file`;
}

/** @param {string} path @returns {Entries | undefined} */
function packagesOf(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages;
  } catch {
    return undefined;
  }
}

/** @param {string} root @returns {string} why the installed packages are not the locked ones */
export function installedDifference(root) {
  const wanted = packagesOf(join(root, 'package-lock.json'));
  // Installed as somebody's dependency: their npm has already done this.
  if (wanted === undefined) return '';
  const installed = packagesOf(join(root, 'node_modules', '.package-lock.json'));
  if (installed === undefined) return 'node_modules is missing';
  const noted = lockDifference(wanted, installed);
  if (noted !== '') return noted;
  const gone = Object.keys(installed).find((path) => !existsSync(join(root, path)));
  return gone === undefined ? '' : `${gone} is missing`;
}

/**
 * Installs the locked packages when they are not there, and the Node that runs the project. npm is
 * started by the machine's own Node from outside node_modules: it is about to replace that folder.
 *
 * @param {{ root: string, environment: NodeJS.ProcessEnv, say: (line: string) => void,
 *   self: { path: string, version: string }, signal?: AbortSignal }} order
 * @returns {Promise<{ ok: true, node: string } | { ok: false, why: string }>}
 */
export async function ensureDependencies(order) {
  const ready = await readyNode(order);
  if (ready.ok) return ready;
  const lock = join(order.root, '.swarmproof', 'npm.lock');
  const onWait = (/** @type {string} */ holder) =>
    order.say(`packages: waiting for ${holder}, which installs them too`);
  const signal = order.signal === undefined ? {} : { signal: order.signal };
  return withLock(lock, () => install(order), { onWait, ...signal });
}

/** @param {Parameters<typeof ensureDependencies>[0]} order */
async function install(order) {
  const difference = installedDifference(order.root);
  const environment = withoutProject(order.environment, order.root);
  if (difference !== '') {
    order.say(`packages: npm ci (${difference})`);
    const done = await npm(['ci', '--no-audit', '--no-fund'], order, environment);
    if (!done.ok) return fail(`npm ci failed: ${npmError(done.stderr) || done.why}`);
    const still = installedDifference(order.root);
    if (still !== '') return fail(`npm ci left ${still}: remove node_modules and run again`);
  }
  if (!(await readyNode(order)).ok) {
    order.say(`packages: npm rebuild node (its install script did not run)`);
    await npm(['rebuild', 'node', '--ignore-scripts=false'], order, environment);
  }
  const ready = await readyNode(order);
  if (!ready.ok) return ready;
  order.say('packages: installed');
  return ready;
}

/**
 * @param {string[]} args
 * @param {Parameters<typeof ensureDependencies>[0]} order
 * @param {NodeJS.ProcessEnv} environment
 */
async function npm(args, order, environment) {
  const options = {
    timeoutMs: NPM_CI_MS,
    cwd: order.root,
    env: environment,
    ...(order.signal === undefined ? {} : { signal: order.signal }),
  };
  return run(onPath('npm', environment.PATH) ?? 'npm', args, options);
}

/**
 * The environment without this project's own executables, and without what an outer npm has set for
 * its own run (its log level would swallow the error that we want to show).
 *
 * @param {NodeJS.ProcessEnv} environment
 * @param {string} root
 * @returns {NodeJS.ProcessEnv}
 */
export function withoutProject(environment, root) {
  const own = join(root, 'node_modules');
  const kept = Object.entries(environment).filter(([name]) => name !== 'npm_config_loglevel');
  const path = (environment.PATH ?? '')
    .split(delimiter)
    .filter((folder) => folder !== own && !folder.startsWith(`${own}/`));
  return { ...Object.fromEntries(kept), PATH: path.join(delimiter) };
}

/** @param {string} stderr @returns {string} npm's own lines, joined; without the path of its log */
function npmError(stderr) {
  return stderr
    .split('\n')
    .map((line) => /^npm (?:error|ERR!)\s*(.*)$/.exec(line)?.[1] ?? '')
    .filter((line) => line !== '' && !line.includes('complete log of this run'))
    .slice(0, 4)
    .join('; ');
}

/** @param {{ root: string, self: { path: string, version: string } }} order */
async function readyNode(order) {
  const difference = installedDifference(order.root);
  if (difference !== '') return fail(difference);
  const node = findNode(order.root, order.self);
  const advice = `install Node ${OLDEST_NODE} or newer, or allow the install script of the npm package "node" and run: npm rebuild node`;
  if (node === undefined) return fail(`${packagedNode(order.root)} is missing: ${advice}`);
  if (node === order.self.path) return { ok: /** @type {const} */ (true), node };
  const asked = await versionOf(node, {
    versionArgs: ['--version'],
    versionPattern: /^v(\d+\.\d+\.\d+)/,
  });
  if (asked.version === undefined) return fail(`${node} ${asked.why}: ${advice}`);
  if (compareVersions(asked.version, OLDEST_NODE) < 0) {
    return fail(`${node} is ${asked.version}: ${advice}`);
  }
  return { ok: /** @type {const} */ (true), node };
}

/** @param {string} why */
function fail(why) {
  return { ok: /** @type {const} */ (false), why };
}
