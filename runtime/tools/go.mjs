import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { reasonOf, run } from './run.mjs';
import { isExecutable, onPath } from './versions.mjs';

/** Go itself would wait far longer for a module proxy that never answers. */
const PROBE_MS = 10_000;

/**
 * Builds a pinned version with the machine's own Go; its module cache and checksum database check
 * the sources. When the module proxy does not answer, only Go's local cache is used, so that a
 * network without answers costs ten seconds and not minutes.
 *
 * @param {{ name: string, module: string, version: string, folder: string,
 *   environment: NodeJS.ProcessEnv, say: (line: string) => void, probeMs?: number,
 *   signal?: AbortSignal }} order
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
  const built = await run(go, ['install', '-trimpath', `${order.module}@${order.version}`], {
    ...common,
    timeoutMs: 900_000,
    env: environment,
  });
  const path = join(order.folder, order.name);
  if (built.ok && isExecutable(path)) return { path, source: `go ${order.version}`, why: '' };
  if (silent !== '') return { source: '', why: `module proxy: ${silent}; not in go's own cache` };
  return { source: '', why: `go install: ${built.why || 'made no executable'}` };
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
