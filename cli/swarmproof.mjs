#!/usr/bin/env node
import { spawn } from 'node:child_process';
import { release } from 'node:os';
import { fileURLToPath } from 'node:url';
import { isPurpose } from '#runtime/tools/catalog.mjs';
import { examine } from '#runtime/tools/doctor.mjs';
import { findNode, OLDEST_NODE, packagedNode } from '#runtime/tools/node.mjs';
import { reasonOf } from '#runtime/tools/run.mjs';
import { prepare } from '#runtime/tools/steps.mjs';

/** Runs on the machine's own Node: prepares what the command needs and hands over to Node 24. */

const root = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '');
const say = (/** @type {string} */ line) => process.stderr.write(`swarmproof: ${line}\n`);
/** Purposes of preparing that are no commands of this program. */
const NO_COMMAND = ['test', 'jaeger'];
const asked = process.argv.slice(2);
const command = asked.find((word, at) => !word.startsWith('-') && !takesValue(asked[at - 1])) ?? '';
const wantsHelp = asked.includes('--help') || asked.includes('-h');

try {
  handOver(await ready());
} catch (error) {
  say(reasonOf(error));
  process.exit(1);
}

/** @param {string | undefined} word @returns {boolean} an option before the command, with a value */
function takesValue(word) {
  return word === '--state-dir';
}

/** @returns {Promise<{ node: string, variables: Record<string, string> } | undefined>} */
async function ready() {
  if (isPurpose(command) && !NO_COMMAND.includes(command) && !wantsHelp) {
    const interrupted = new AbortController();
    const interrupt = () => interrupted.abort();
    process.on('SIGINT', interrupt).on('SIGTERM', interrupt);
    const environment = process.env;
    const { signal } = interrupted;
    const prepared = await prepare({ root, purpose: command, environment, say, signal });
    process.off('SIGINT', interrupt).off('SIGTERM', interrupt);
    if (prepared.ok) return prepared;
    for (const line of prepared.lines) say(line);
    return undefined;
  }
  const node = findNode(root, { path: process.execPath, version: process.versions.node });
  if (node !== undefined) return { node, variables: {} };
  if (command === 'doctor') return examineHere();
  say(`needs Node ${OLDEST_NODE} or newer, or ${packagedNode(root)}: run npm ci in ${root}`);
  return undefined;
}

/** The doctor without its Node: what is missing is said before anything is installed. */
async function examineHere() {
  const rows = await examine({
    root,
    stateDir: `${root}/.swarmproof`,
    environment: process.env,
    platform: process.platform,
    kernel: release(),
    uid: process.getuid?.(),
    self: { path: process.execPath, version: process.versions.node },
  });
  for (const { name, ok, found, fix } of rows) {
    process.stdout.write(`${ok.padEnd(4)}  ${name}: ${found}${fix === '' ? '' : ` (${fix})`}\n`);
  }
  return undefined;
}

/**
 * Two signals of one key press arrive twice when an outer npm passes them on as well. The child is
 * in its own process group, so it gets exactly what is sent here; `leash.mjs` ends it when this
 * process is gone, by whatever cause.
 *
 * @param {{ node: string, variables: Record<string, string> } | undefined} prepared
 */
function handOver(prepared) {
  // Explicitly: an aborted download may hold the process for minutes.
  if (prepared === undefined) process.exit(1);
  const file = (/** @type {string} */ name) => fileURLToPath(new URL(name, import.meta.url));
  // The last one bounds what lies about uncollected: evidence of any size is verified in little memory.
  const flags = [
    '--disable-sigusr1',
    '--disable-warning=ExperimentalWarning',
    '--max-semi-space-size=16',
  ];
  const leash = ['--import', new URL('leash.mjs', import.meta.url).href];
  const args = [...flags, ...leash, file('main.ts'), ...asked];
  const child = spawn(prepared.node, args, {
    stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
    env: { ...process.env, ...prepared.variables },
    detached: true,
  });
  /** @type {Map<NodeJS.Signals, number>} */
  const last = new Map();
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'])) {
    process.on(signal, () => {
      const now = performance.now();
      if (now - (last.get(signal) ?? Number.NEGATIVE_INFINITY) < 300) return;
      last.set(signal, now);
      child.kill(signal);
    });
  }
  child.on('error', (error) => {
    say(`${prepared.node}: ${error.message}`);
    process.exitCode = 1;
  });
  child.on('exit', (code, signal) => {
    if (signal === null) {
      process.exit(code ?? 1);
    }
    // Die as the child did, so that a shell sees the same.
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}
