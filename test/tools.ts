import { spawnSync } from 'node:child_process';
import { accessSync, constants, realpathSync, statSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { TOOLS } from '#runtime/tools/catalog.mjs';
import { locate } from '#runtime/tools/provision.mjs';

const ROOT = new URL('..', import.meta.url).pathname;

function executable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function find(name: string, variable: string): string | undefined {
  const candidates = [
    process.env[variable],
    join(ROOT, '.swarmproof', 'tools', name),
    ...(process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, name)),
  ];
  return candidates.find((path) => path !== undefined && path !== '' && executable(path));
}

function tool(name: string, variable: string): string {
  const found = find(name, variable);
  if (found === undefined) {
    throw new Error(
      `${name} not found: run 'npm test' once (it provisions tools), or set ${variable}`,
    );
  }
  return found;
}

/** Path of the real nats-server that tests start. */
export function natsServer(): string {
  return tool('nats-server', 'SWARMPROOF_NATS_SERVER');
}

/** Paths of a real SPIRE server and agent to compare with; `undefined` unless both are here. */
export function spire(): { readonly server: string; readonly agent: string } | undefined {
  const server = find('spire-server', 'SWARMPROOF_SPIRE_SERVER');
  const agent = find('spire-agent', 'SWARMPROOF_SPIRE_AGENT');
  return server === undefined || agent === undefined ? undefined : { server, agent };
}

/** Path of the opa that made the committed bundle; `undefined` where this machine has none. */
export async function opaIfThere(): Promise<string | undefined> {
  const toolsFolder = join(ROOT, '.swarmproof', 'tools');
  const found = await locate(TOOLS.opa, { toolsFolder, environment: process.env });
  return found.ok ? found.path : undefined;
}

/**
 * The same for a test that cannot do without: it is skipped, with the reason. On CI a test that
 * did not run proves nothing, so there it fails.
 */
export async function opa(skip: (reason: string) => never): Promise<string> {
  const path = await opaIfThere();
  if (path !== undefined) return path;
  const { name, exactly } = TOOLS.opa;
  const reason = `${name} ${exactly} is not here; 'npm test' fetches it where it can`;
  if (process.env.CI) throw new Error(reason);
  return skip(reason);
}

/**
 * Path of a Jaeger 2 for the tests that ask the real one; without it they are skipped, on CI too: it
 * is built from two thousand packages.
 */
export async function jaeger(skip: (reason: string) => never): Promise<string> {
  const toolsFolder = join(ROOT, '.swarmproof', 'tools');
  const found = await locate(TOOLS.jaeger, { toolsFolder, environment: process.env });
  if (found.ok) return found.path;
  return skip("jaeger is not here; 'node runtime/tools/prepare.mjs --for jaeger' builds it");
}

/** How Docker Compose is called here, if it is here: as a program or as Docker's plugin. */
export function compose(): readonly [program: string, ...args: string[]] | undefined {
  const named = process.env.SWARMPROOF_DOCKER_COMPOSE;
  const candidates = [...(named ? [[named]] : []), ['docker-compose'], ['docker', 'compose']];
  for (const [program = '', ...args] of candidates) {
    const asked = spawnSync(program, [...args, 'version'], { stdio: 'ignore' });
    if (asked.status === 0) return [program, ...args];
  }
  return undefined;
}

/**
 * May this test start programs of the checkout under other uids? Only root may, and only where
 * everybody can pass the folders that the checkout lies in.
 */
export function otherUids(): boolean {
  if (process.getuid?.() !== 0) return false;
  const folders: string[] = [];
  for (let path = realpathSync(process.execPath); path !== dirname(path); path = dirname(path)) {
    folders.push(path);
  }
  return folders.every((path) => (statSync(path).mode & 0o001) !== 0);
}

export const NO_OTHER_UIDS = 'needs root, and a checkout that every uid can reach';
