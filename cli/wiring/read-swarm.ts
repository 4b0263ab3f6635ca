import { roleSchemas } from '#agents/roles/index.ts';
import type { Outcome } from '#identity/outcome.ts';
import { inputFile, parseInput, withInput } from '#runtime/swarm-file/input.ts';
import { loadSwarm } from '#runtime/swarm-file/load.ts';
import { resolveSwarm, type Swarm } from '#runtime/swarm-file/resolve.ts';
import { serviceSchemas } from '#services/index.ts';

/** Something refused it: one or two lines for the user. */
export class SwarmRefused extends Error {}

/** @throws SwarmRefused */
export function must<T>(outcome: Outcome<T>): T {
  if (!outcome.ok) throw new SwarmRefused(outcome.detail);
  return outcome.value;
}

/** The swarm that a file and its options describe. @throws SwarmRefused naming line and field. */
export async function readSwarm(
  file: string,
  inputs: readonly string[],
): Promise<{ readonly swarm: Swarm; readonly inputs: ReadonlyMap<string, string> }> {
  const loaded = must(await loadSwarm(file, { roles: roleSchemas, services: serviceSchemas }));
  let swarm = resolveSwarm(loaded);
  for (const option of inputs) {
    const { name, path } = must(parseInput(option));
    swarm = must(withInput(swarm, name, must(await inputFile(path))));
  }
  const files = new Map<string, string>();
  for (const { member, config } of swarm.agents) {
    const path = (config as { source?: { path?: string } }).source?.path;
    if (path !== undefined) files.set(member.id, must(await inputFile(path)));
  }
  return { swarm, inputs: files };
}
