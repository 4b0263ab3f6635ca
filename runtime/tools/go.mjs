import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { reasonOf, run } from './run.mjs';
import { isExecutable, onPath } from './versions.mjs';

/**
 * @typedef {object} GoSource
 * @property {string} module
 * @property {string} version
 * @property {string} [package] import path of the program, for a module whose go.mod replaces others:
 *   `go install` refuses such a one, so it is built under its own go.mod and go.sum
 * @property {string} [ldflags] given to the linker, with `package` only
 */

/** Jaeger has two thousand packages. */
const BUILD_MS = 1_800_000;

/** Go itself would wait far longer for a module proxy that never answers. */
const PROBE_MS = 10_000;

/**
 * Builds a pinned version with the machine's own Go; its module cache and checksum database check
 * the sources. When the module proxy does not answer, only Go's local cache is used, so that a
 * network without answers costs ten seconds and not minutes.
 *
 * @param {GoSource & { name: string, folder: string, environment: NodeJS.ProcessEnv,
 *   say: (line: string) => void, probeMs?: number, signal?: AbortSignal }} order
 * @returns {Promise<{ path?: string, source: string, why: string }>}
 */
export async function fromGo(order) {
  const go = onPath('go', order.environment.PATH);
  if (go === undefined) return { source: '', why: 'no go' };
  /** @type {NodeJS.ProcessEnv} */
  const environment = { ...order.environment, GOBIN: order.folder, CGO_ENABLED: '0' };
  const common = {
    cwd: order.folder,
    ...(order.signal === undefined ? {} : { signal: order.signal }),
  };
  const asked = await run(go, ['env', 'GOPROXY', 'GOMODCACHE'], {
    ...common,
    timeoutMs: 20_000,
    env: environment,
  });
  if (!asked.ok) return { source: '', why: `go env: ${asked.why}` };
  const [proxies = '', cache = ''] = asked.stdout.split('\n');
  const silent = await probe(proxies.trim(), order);
  // Not `off`: that also forbids the cached answer to whether the version was withdrawn.
  if (silent !== '') environment.GOPROXY = pathToFileURL(join(cache, 'cache', 'download')).href;
  const from = silent === '' ? '' : ` from its own cache (module proxy: ${silent})`;
  order.say(`${order.name}: building ${order.version} with go${from}; this can take minutes`);
  const path = join(order.folder, order.name);
  /** @param {string[]} args */
  const ask = (...args) => run(go, args, { ...common, timeoutMs: BUILD_MS, env: environment });
  const built =
    order.package === undefined
      ? await ask('install', '-trimpath', `${order.module}@${order.version}`)
      : await buildAs(order, order.package, path, ask);
  if (built.ok && isExecutable(path)) return { path, source: `go ${order.version}`, why: '' };
  if (silent !== '') return { source: '', why: `module proxy: ${silent}; not in go's own cache` };
  const step = order.package === undefined ? 'go install' : 'go build';
  return { source: '', why: `${step}: ${built.why || 'made no executable'}` };
}

/**
 * Builds a program of a module in a module of ours that has the same requirements, replacements and
 * sums as its own: exactly what its authors build. The module is checked by Go when it is fetched,
 * and everything below it against the sums that it brings.
 *
 * @param {GoSource & { folder: string }} order
 * @param {string} program
 * @param {string} path of the executable
 * @param {(...args: string[]) => Promise<{ ok: boolean, stdout: string, why: string }>} ask
 * @returns {Promise<{ ok: boolean, why: string }>}
 */
async function buildAs(order, program, path, ask) {
  const { module, version, folder, ldflags } = order;
  const fetched = await ask('mod', 'download', '-json', `${module}@${version}`);
  if (!fetched.ok) return fetched;
  try {
    const { Dir, GoMod, Sum, GoModSum } = JSON.parse(fetched.stdout);
    const own = readFileSync(GoMod, 'utf8').replace(
      /^module\s.*$/m,
      'module swarmproof.invalid/build',
    );
    writeFileSync(join(folder, 'go.mod'), `${own}\nrequire ${module} ${version}\n`);
    const sums = readFileSync(join(Dir, 'go.sum'), 'utf8');
    const added = `${module} ${version} ${Sum}\n${module} ${version}/go.mod ${GoModSum}\n`;
    writeFileSync(join(folder, 'go.sum'), `${sums}${added}`);
  } catch (error) {
    return { ok: false, why: reasonOf(error) };
  }
  const linked = ldflags === undefined ? [] : ['-ldflags', ldflags];
  return ask('build', '-mod=readonly', '-trimpath', ...linked, '-o', path, program);
}

/**
 * @param {string} proxies value of GOPROXY
 * @param {{ module: string, version: string, probeMs?: number }} order
 * @returns {Promise<string>} empty when the first proxy answers, or is none that HTTP can ask
 */
async function probe(proxies, order) {
  const first = proxies.split(/[,|]/)[0] ?? '';
  if (!/^https?:/.test(first)) return '';
  const url = `${first.replace(/\/$/, '')}/${order.module}/@v/${order.version}.info`;
  const ms = order.probeMs ?? PROBE_MS;
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(ms) });
    await answer.body?.cancel();
    return answer.ok ? '' : `answered ${answer.status}`;
  } catch (error) {
    const late = error instanceof Error && error.name === 'TimeoutError';
    return late ? `no answer within ${ms / 1000} s` : reasonOf(error);
  }
}
