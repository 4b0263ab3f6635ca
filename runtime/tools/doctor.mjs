import { accessSync, constants, existsSync, statfsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { TOOLS } from './catalog.mjs';
import { installedDifference } from './dependencies.mjs';
import { findNode, OLDEST_NODE } from './node.mjs';
import { locate } from './provision.mjs';
import { reasonOf } from './run.mjs';
import { compareVersions, onPath, versionOf } from './versions.mjs';

/** @typedef {'ok' | 'warn' | 'fail'} Verdict `fail`: a swarm cannot start here */

/**
 * @typedef {object} Row
 * @property {string} name
 * @property {Verdict} ok
 * @property {string} found
 * @property {string} fix empty when nothing is to be done
 */

/**
 * @typedef {object} Machine what `examine` looks at; every part is given, so that each answer can
 *   be shown by a test
 * @property {string} root the checkout
 * @property {string} stateDir folder of runs, as `--state-dir` says
 * @property {NodeJS.ProcessEnv} environment
 * @property {string} platform `process.platform`
 * @property {string} kernel `os.release()`
 * @property {number | undefined} uid
 * @property {{ kind: 'uid-per-process' } | { kind: 'one-uid', why: string }} [isolation] how the
 *   processes of a swarm would be kept apart here
 * @property {{ path: string, version: string }} self this Node
 */

/** SO_PEERPIDFD: the handle by which a caller whose PID was reused is told apart. */
const PEER_PIDFD_KERNEL = '6.5';
const LEAST_FREE_MB = 500;
/** The longest name of a socket in a run folder, with the folder of the run that has no name. */
const LONGEST_SOCKET = 'runs/default/workload.sock';

/** @type {Readonly<Record<string, { purpose: string, user: string }>>} */
const ASKED_BY = {
  'nats-server': { purpose: 'up', user: 'no swarm without it' },
  opa: { purpose: 'test', user: 'tests of policy alone need it' },
  jaeger: { purpose: 'jaeger', user: 'up --jaeger alone needs it' },
};

/**
 * @param {Machine} machine
 * @returns {Promise<Row[]>}
 */
export async function examine(machine) {
  const { environment, root } = machine;
  const toolsFolder = join(root, '.swarmproof', 'tools');
  const rows = [await nodeRow(machine), await npmRow(machine), packagesRow(root)];
  for (const tool of Object.values(TOOLS)) {
    const needed = tool.name === 'nats-server';
    const found = await locate(tool, { toolsFolder, environment });
    if (found.ok) {
      rows.push(row(tool.name, 'ok', `${found.version}, ${found.path} (${found.source})`));
      continue;
    }
    const { purpose, user } = ASKED_BY[tool.name] ?? { purpose: tool.name, user: '' };
    const fix = found.byHand || `run: node runtime/tools/prepare.mjs --for ${purpose}`;
    rows.push(row(tool.name, needed ? 'fail' : 'warn', [...found.reasons, user].join('; '), fix));
  }
  rows.push(await programRow('openssl', 'tests check certificates with it', machine));
  if (machine.platform === 'linux') {
    rows.push(await programRow('setpriv', 'ends nats-server with its supervisor', machine));
  }
  return [...rows, kernelRow(machine), uidRow(machine), ...stateRows(machine), socketRow(machine)];
}

/**
 * 0 when a swarm can start here, 1 when something that it needs is missing. Warnings do not count.
 *
 * @param {readonly Row[]} rows
 * @returns {0 | 1}
 */
export function exitCodeOf(rows) {
  return rows.some(({ ok }) => ok === 'fail') ? 1 : 0;
}

/** @param {string} name @param {Verdict} ok @param {string} found @param {string} [fix] @returns {Row} */
function row(name, ok, found, fix = '') {
  return { name, ok, found, fix };
}

/** @param {Machine} machine */
async function nodeRow(machine) {
  const fix = `run npm ci, or install Node ${OLDEST_NODE} or newer`;
  const path = findNode(machine.root, machine.self);
  if (path === undefined) return row('node', 'fail', `only ${machine.self.version}`, fix);
  const pattern = { versionArgs: ['--version'], versionPattern: /^v(\d+\.\d+\.\d+)/ };
  const { version, why } = await versionOf(path, pattern);
  if (version === undefined) return row('node', 'fail', `${path} ${why}`, fix);
  const good = compareVersions(version, OLDEST_NODE) >= 0;
  return row('node', good ? 'ok' : 'fail', `${version}, ${path}`, good ? '' : fix);
}

/** @param {Machine} machine */
async function npmRow(machine) {
  const path = onPath('npm', machine.environment.PATH);
  const fix = 'install npm 10 or newer; it comes with Node';
  if (path === undefined) return row('npm', 'warn', 'not on the PATH', fix);
  const pattern = { versionArgs: ['--version'], versionPattern: /(\d+\.\d+\.\d+)/ };
  const { version, why } = await versionOf(path, pattern);
  if (version === undefined) return row('npm', 'warn', `${path} ${why}`, fix);
  const good = compareVersions(version, '10.0.0') >= 0;
  return row('npm', good ? 'ok' : 'warn', `${version}, ${path}`, good ? '' : fix);
}

/** @param {string} root */
function packagesRow(root) {
  const difference = installedDifference(root);
  if (difference === '') return row('packages', 'ok', 'as locked');
  return row('packages', 'fail', difference, 'run: npm ci');
}

/** @param {string} name @param {string} purpose @param {Machine} machine */
async function programRow(name, purpose, machine) {
  const path = onPath(name, machine.environment.PATH);
  if (path === undefined)
    return row(name, 'warn', `not on the PATH; ${purpose}`, `install ${name}`);
  const versionArgs = name === 'openssl' ? ['version'] : ['--version'];
  const pattern = { versionArgs, versionPattern: /(\d+\.\d+(?:\.\d+)?)/ };
  const { version, why } = await versionOf(path, pattern);
  return version === undefined
    ? row(name, 'warn', `${path} ${why}`, `install ${name}`)
    : row(name, 'ok', `${version}, ${path}`);
}

/** @param {Machine} machine */
function kernelRow({ platform, kernel }) {
  if (platform === 'darwin') {
    const found = `macOS ${kernel}: callers are known by PID and start time only`;
    return row('peer credentials', 'warn', found, 'run on Linux 6.5 or newer where it matters');
  }
  if (platform !== 'linux') {
    const found = `${platform} cannot say who opened a socket`;
    return row('peer credentials', 'fail', found, 'run on Linux or macOS');
  }
  const version = /^\d+\.\d+/.exec(kernel)?.[0] ?? '0';
  if (compareVersions(version, PEER_PIDFD_KERNEL) >= 0) {
    return row('peer credentials', 'ok', `Linux ${kernel} has SO_PEERPIDFD`);
  }
  const found = `Linux ${kernel} has no SO_PEERPIDFD: a reused PID is told by start time only`;
  return row('peer credentials', 'warn', found, `run on Linux ${PEER_PIDFD_KERNEL} or newer`);
}

/** @param {Machine} machine */
function uidRow({ uid, isolation }) {
  if (isolation?.kind === 'uid-per-process') {
    return row('separation', 'ok', 'each process of a swarm gets a uid of its own');
  }
  const why = isolation === undefined ? '' : `; ${isolation.why}`;
  const found = `uid ${uid ?? 'unknown'} for every process: code execution in one agent reaches far`;
  const fix = 'start swarms as root, or run no code that you do not trust in an agent';
  return row('separation', 'warn', `${found}${why}`, fix);
}

/** @param {Machine} machine @returns {Row[]} */
function stateRows({ stateDir }) {
  const folder = resolve(stateDir);
  let there = folder;
  while (!existsSync(there) && dirname(there) !== there) there = dirname(there);
  const fix = 'choose another folder with --state-dir';
  try {
    accessSync(there, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    return [row('state folder', 'fail', `${folder}: ${reasonOf(error)}`, fix)];
  }
  const { bavail, bsize } = statfsSync(there);
  const free = Math.floor((bavail * bsize) / (1024 * 1024));
  const enough = free >= LEAST_FREE_MB;
  return [
    row('state folder', 'ok', folder),
    row(
      'free disk',
      enough ? 'ok' : 'warn',
      `${free} MB`,
      enough ? '' : `free ${LEAST_FREE_MB} MB`,
    ),
  ];
}

/** @param {Machine} machine */
function socketRow({ stateDir, platform }) {
  const limit = platform === 'linux' ? 107 : 103;
  const length = Buffer.byteLength(join(resolve(stateDir), LONGEST_SOCKET));
  if (length <= limit) return row('socket path', 'ok', `${length} of at most ${limit} bytes`);
  const found = `${length} bytes, at most ${limit}: sockets go to a private temporary folder`;
  return row('socket path', 'warn', found, 'choose a shorter folder with --state-dir');
}
