import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

const ROOT = new URL('..', import.meta.url).pathname;

function executable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function tool(name: string, variable: string): string {
  const candidates = [
    process.env[variable],
    join(ROOT, '.swarmproof', 'tools', name),
    ...(process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, name)),
  ];
  const found = candidates.find((path) => path !== undefined && path !== '' && executable(path));
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

/** Path of the real opa. */
export function opa(): string {
  return tool('opa', 'SWARMPROOF_OPA');
}
