import { chmod, constants, copyFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Isolation, Uids } from '#runtime/launcher/isolation.ts';
import { createUids, findIsolation } from '#runtime/launcher/isolation.ts';
import { giveFolder, shareRunFolder } from '#runtime/launcher/ownership.ts';
import type { RunFolder } from '#runtime/run-folder.ts';
import { platformMember, type Swarm } from '#runtime/swarm-file/resolve.ts';
import { WITNESS_NAMES } from '#runtime/witness/names.ts';
import { SwarmRefused } from './read-swarm.ts';
import { serviceFolder } from './start-messages.ts';
import { witnessFolders } from './witnesses.ts';

export interface Isolated {
  readonly isolation: Isolation;
  /** Absent with one uid for all. */
  readonly uids: Uids | undefined;
  /** Where a program is to be started from. */
  readonly program: (path: string) => string;
}

/**
 * A uid for each process of a swarm, wherever the starter may give them, and the run folder shared
 * out accordingly. One uid each and not one for each role: two sensors are two identities, and one
 * taken over must not reach the other's memory.
 * @throws SwarmRefused when a range was asked for and cannot be had
 */
export async function isolate(options: {
  readonly run: RunFolder;
  readonly swarm: Swarm;
  readonly node: string;
  /** Absent when the broker is run by somebody else. */
  readonly natsServer?: string | undefined;
  readonly inputs: Iterable<string>;
  readonly range?: number | 'off' | undefined;
}): Promise<Isolated> {
  const { run, swarm, node, natsServer, range } = options;
  if (range === 'off') {
    const why = 'switched off by whoever started the swarm';
    return { isolation: { kind: 'one-uid', why }, uids: undefined, program: (path) => path };
  }
  const isolation = await findIsolation({
    runPath: run.path,
    ...(range !== undefined && { first: range }),
    programs: [node, ...(natsServer === undefined ? [] : [natsServer])],
    folders: [dirname(run.path), dirname(dirname(run.workloadSocket))],
    readable: [...options.inputs],
  });
  const uids = createUids(isolation);
  if (isolation.kind === 'one-uid' && range !== undefined) {
    throw new SwarmRefused(`no uid for each process: ${isolation.why}`);
  }
  if (isolation.kind === 'one-uid' || uids === undefined) {
    return { isolation, uids, program: (path) => path };
  }
  const brought = new Map<string, string>();
  for (const path of isolation.outOfReach) {
    const copy = join(run.store, basename(path));
    await copyFile(path, copy, constants.COPYFILE_FICLONE);
    await chmod(copy, 0o755);
    brought.set(path, copy);
  }
  await shareRunFolder(run, uids.of('issuer'));
  for (const { member } of swarm.services) {
    await giveFolder(serviceFolder(run, member), uids.of(member.token));
    if (member.role === 'city-works') {
      await giveFolder(dirname(run.observeSocket), uids.of(member.token));
    }
  }
  const ledger = uids.of(platformMember(swarm.trustDomain, 'ledger').token);
  for (const name of WITNESS_NAMES) {
    const witness = uids.of(name);
    const [state, socket] = witnessFolders(run, name);
    await giveFolder(state, witness);
    // Only the ledger's group passes to the socket: nobody else keeps a witness busy.
    await giveFolder(socket, { uid: witness.uid, gid: ledger.gid }, 0o710);
  }
  return { isolation, uids, program: (path) => brought.get(path) ?? path };
}
