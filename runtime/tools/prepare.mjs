import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { isPurpose, NEEDED } from './catalog.mjs';
import { ensureDependencies } from './dependencies.mjs';
import { reasonOf } from './run.mjs';
import { prepare } from './steps.mjs';

/** `node runtime/tools/prepare.mjs --for demo|test|bench|up|jaeger`; needs only Node 20 and npm. */

const root = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
const say = (/** @type {string} */ line) => process.stderr.write(`prepare: ${line}\n`);
const interrupted = new AbortController();
for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP'])) {
  process.on(signal, () => interrupted.abort());
}

const purpose = process.argv[2] === '--for' ? (process.argv[3] ?? '') : '';
if (!isPurpose(purpose)) {
  say(`usage: node runtime/tools/prepare.mjs --for ${Object.keys(NEEDED).join('|')}`);
  process.exit(2);
}
// An aborted connection through a proxy may linger for minutes; nothing here waits for it.
process.exit(
  await main(purpose).catch((error) => {
    say(interrupted.signal.aborted ? 'interrupted' : reasonOf(error));
    return interrupted.signal.aborted ? 130 : 1;
  }),
);

/** @param {import('./catalog.mjs').Purpose} wanted @returns {Promise<number>} exit code */
async function main(wanted) {
  const environment = process.env;
  const { signal } = interrupted;
  if (behindProxy(environment) && environment.NODE_USE_ENV_PROXY === undefined) {
    const self = { path: process.execPath, version: process.versions.node };
    const packages = await ensureDependencies({ root, environment, say, self, signal });
    if (!packages.ok) return fail([packages.why]);
    // Node 20 has no proxy support of its own; the packaged one has, when it is asked at start.
    const again = spawnSync(packages.node, process.argv.slice(1), {
      stdio: 'inherit',
      env: { ...environment, NODE_USE_ENV_PROXY: '1' },
    });
    return again.status ?? 1;
  }
  const prepared = await prepare({ root, purpose: wanted, environment, say, signal });
  if (!prepared.ok) return fail(prepared.lines);
  say(`ready for ${wanted}: ${prepared.summary.join(', ')}`);
  return 0;
}

/** @param {readonly string[]} lines @returns {number} */
function fail(lines) {
  for (const line of lines) say(line);
  return 1;
}

/** @param {NodeJS.ProcessEnv} environment @returns {boolean} */
function behindProxy(environment) {
  return ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy'].some(
    (name) => environment[name],
  );
}
