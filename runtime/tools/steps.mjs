import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { NEEDED, WANTED, WELCOME } from './catalog.mjs';
import { ensureDependencies } from './dependencies.mjs';
import { locate, provision } from './provision.mjs';
import { run } from './run.mjs';

/** Builds the images of all processes, cached by the digest of their sources. */
const PREBUILD = 'runtime/images/prebuild.ts';

/**
 * @typedef {object} Preparation
 * @property {string} root the checkout
 * @property {import('./catalog.mjs').Purpose} purpose
 * @property {NodeJS.ProcessEnv} environment
 * @property {(line: string) => void} say
 * @property {AbortSignal} [signal]
 */

/**
 * @typedef {object} Prepared
 * @property {true} ok
 * @property {string} node path of a Node that runs the sources
 * @property {Record<string, string>} variables for children: each tool's own, with its path
 * @property {string[]} summary
 */

/**
 * Everything a command needs before it can start: packages, Node, tools, images. Each step does
 * nothing when its result is there already.
 *
 * @param {Preparation} order
 * @returns {Promise<Prepared | { ok: false, lines: string[] }>}
 */
export async function prepare(order) {
  const { root, environment, say } = order;
  const signal = order.signal === undefined ? {} : { signal: order.signal };
  const self = { path: process.execPath, version: process.versions.node };
  const packages = await ensureDependencies({ root, environment, say, self, ...signal });
  if (!packages.ok) return { ok: false, lines: [packages.why] };
  const releaseBase = environment.SWARMPROOF_RELEASE_BASE;
  /** @type {Record<string, string>} */
  const variables = {};
  const summary = [];
  const toolsFolder = join(root, '.swarmproof', 'tools');
  const welcome = Promise.all(
    WELCOME.map(async (tool) => ({
      tool,
      found: await locate(tool, { toolsFolder, environment, ...signal }),
    })),
  );
  const place = {
    toolsFolder,
    environment,
    platform: process.platform,
    arch: process.arch,
    say,
    ...(releaseBase ? { releaseBase } : {}),
    ...signal,
  };
  /** @type {readonly import('./catalog.mjs').Tool[]} */
  const wanted = WANTED[order.purpose];
  for (const tool of [...NEEDED[order.purpose], ...wanted]) {
    const optional = wanted.includes(tool);
    const found = await provision(tool, { ...place, quiet: optional });
    // One that the user has named and that cannot be used is an error, needed or not.
    if (!found.ok && optional && !environment[tool.variable]) {
      say(`${tool.name} is not here and is not needed: tests of it are skipped`);
      continue;
    }
    if (!found.ok) {
      const reasons = found.reasons.map((reason) => `  ${reason}`);
      const last = `${found.tool} is not here and could not be fetched. By hand: ${found.byHand}`;
      return { ok: false, lines: [`${found.tool}:`, ...reasons, last] };
    }
    variables[tool.variable] = found.path;
    summary.push(`${tool.name} ${found.version} (${found.source})`);
  }
  for (const { tool, found } of await welcome) if (found.ok) variables[tool.variable] = found.path;
  if (existsSync(join(root, PREBUILD))) {
    const built = await run(packages.node, ['--disable-warning=ExperimentalWarning', PREBUILD], {
      timeoutMs: 300_000,
      cwd: root,
      env: { ...environment, ...variables },
      ...signal,
    });
    for (const line of built.stdout.split('\n').filter((text) => text !== '')) say(line);
    if (!built.ok) return { ok: false, lines: [built.stderr.trim(), `images: ${built.why}`] };
  }
  return { ok: true, node: packages.node, variables, summary };
}
