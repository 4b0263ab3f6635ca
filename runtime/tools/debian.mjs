import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from './run.mjs';
import { isExecutable, onPath } from './versions.mjs';

/** Suites that carry a nats-server new enough, signed by the distribution's own archive key. */
const DISTRIBUTIONS = {
  debian: {
    suite: 'sid',
    component: 'main',
    path: '/debian',
    keyring: '/usr/share/keyrings/debian-archive-keyring.gpg',
  },
  ubuntu: {
    suite: 'devel',
    component: 'universe',
    path: '/ubuntu',
    keyring: '/usr/share/keyrings/ubuntu-archive-keyring.gpg',
  },
};

/**
 * @param {string} osRelease content of /etc/os-release
 * @returns {keyof typeof DISTRIBUTIONS | undefined}
 */
export function distributionOf(osRelease) {
  const id = /^ID="?([a-z]+)"?$/m.exec(osRelease)?.[1];
  return id === 'debian' || id === 'ubuntu' ? id : undefined;
}

/**
 * The mirror that this machine's administrator has chosen: the first http(s) archive of the
 * distribution in apt's sources, in either of their two formats.
 *
 * @param {readonly string[]} sources contents of the .list and .sources files
 * @param {keyof typeof DISTRIBUTIONS} distribution
 * @returns {string | undefined}
 */
export function mirrorOf(sources, distribution) {
  const { path } = DISTRIBUTIONS[distribution];
  for (const line of sources.join('\n').split('\n')) {
    const stated = /^\s*(?:deb\s+(?:\[[^\]]*\]\s+)?|URIs:\s*)(.*)$/i.exec(line)?.[1];
    const mirror = stated?.split(/\s+/).find((word) => {
      if (!URL.canParse(word)) return false;
      const url = new URL(word);
      return /^https?:$/.test(url.protocol) && url.pathname.replace(/\/$/, '').endsWith(path);
    });
    if (mirror !== undefined) return mirror.replace(/\/$/, '');
  }
  return undefined;
}

/** @returns {string[]} */
function aptSources() {
  const folder = '/etc/apt/sources.list.d';
  const files = existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
  return ['/etc/apt/sources.list', ...files].filter(existsSync).map((f) => readFileSync(f, 'utf8'));
}

/**
 * Fetches a package with apt's own signature checks, in apt folders of our own: needs no root, and
 * the machine's package state is neither read nor changed.
 *
 * @param {{ packageName: string, folder: string, environment: NodeJS.ProcessEnv,
 *   signal?: AbortSignal }} order `folder`: an empty one, for everything that apt writes
 * @returns {Promise<{ path?: string, source: string, why: string }>}
 */
export async function fromArchive(order) {
  const release = existsSync('/etc/os-release') ? readFileSync('/etc/os-release', 'utf8') : '';
  const distribution = distributionOf(release);
  if (distribution === undefined) return no('neither Debian nor Ubuntu');
  const { suite, component, keyring } = DISTRIBUTIONS[distribution];
  for (const program of ['apt-get', 'dpkg-deb']) {
    if (onPath(program, order.environment.PATH) === undefined) return no(`no ${program}`);
  }
  if (!existsSync(keyring)) return no(`no archive key (${keyring})`);
  const mirror = mirrorOf(aptSources(), distribution);
  if (mirror === undefined) return no(`apt's sources name no ${distribution} mirror`);

  const at = (/** @type {string} */ name) => join(order.folder, name);
  for (const name of ['state/lists/partial', 'cache/archives/partial', 'unpacked']) {
    mkdirSync(at(name), { recursive: true });
  }
  const line = `deb [target=Packages signed-by=${keyring}] ${mirror} ${suite} ${component}\n`;
  writeFileSync(at('sources.list'), line);
  const settings = {
    'Dir::State': at('state'),
    'Dir::Cache': at('cache'),
    'Dir::Etc::sourcelist': at('sources.list'),
    'Dir::Etc::sourceparts': '/dev/null',
    'Dir::Etc::preferences': '/dev/null',
    'Dir::Etc::preferencesparts': '/dev/null',
    // Without it, an update that reached no mirror counts as a success.
    'APT::Update::Error-Mode': 'any',
    'Acquire::Languages': 'none',
    'Acquire::Retries': '0',
    'Acquire::http::Timeout': '10',
    'Acquire::https::Timeout': '10',
  };
  const options = Object.entries(settings).flatMap(([key, value]) => ['-o', `${key}=${value}`]);
  const common = {
    timeoutMs: 180_000,
    cwd: order.folder,
    env: { ...order.environment, LC_ALL: 'C' },
    ...(order.signal === undefined ? {} : { signal: order.signal }),
  };
  for (const verb of [['update'], ['download', order.packageName]]) {
    const done = await run('apt-get', [...options, '-q', ...verb], common);
    if (!done.ok) return no(`apt-get ${verb[0]}: ${errorLine(done.stderr) || done.why}`);
  }
  const file = readdirSync(order.folder).find((name) => name.endsWith('.deb'));
  if (file === undefined) return no(`${suite} has no package ${order.packageName}`);
  const unpacked = await run('dpkg-deb', ['-x', at(file), at('unpacked')], common);
  if (!unpacked.ok) return no(`dpkg-deb: ${unpacked.why}`);
  const path = ['usr/bin', 'usr/sbin']
    .map((folder) => join(at('unpacked'), folder, order.packageName))
    .find(isExecutable);
  if (path === undefined) return no(`${file} holds no executable ${order.packageName}`);
  return { path, source: `${distribution} ${suite}`, why: '' };
}

/** @param {string} stderr @returns {string} what apt could not fetch, else its first error */
function errorLine(stderr) {
  const lines = stderr.split('\n').filter((text) => /^[EW]: /.test(text));
  const line = lines.find((text) => text.includes('Failed to fetch')) ?? lines.find(isError);
  return line?.slice(3).replace(/\s+/g, ' ').trim() ?? '';
}

/** @param {string} line */
function isError(line) {
  return line.startsWith('E:');
}

/** @param {string} why */
function no(why) {
  return { source: '', why };
}
