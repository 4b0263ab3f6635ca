import { chmod, lchown, lstat, mkdir, readdir, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Credentials } from './isolation.ts';

/**
 * Gives a folder and all in it to a process: folder 0700 unless `mode` says otherwise. Links are
 * given away themselves, never what they point at, and a file with a second name stays as it is:
 * its other name may be anybody's. Only for folders whose owner does not run at this moment.
 */
export async function giveFolder(
  path: string,
  { uid, gid }: Credentials,
  mode = 0o700,
): Promise<void> {
  await mkdir(path, { recursive: true, mode });
  await give(path, uid, gid);
  await chmod(path, mode);
}

async function give(path: string, uid: number, gid: number): Promise<void> {
  const found = await lstat(path);
  if (found.isDirectory()) {
    for (const name of await readdir(path)) await give(join(path, name), uid, gid);
  } else if (found.nlink > 1) {
    return;
  }
  if (found.uid !== uid || found.gid !== gid) await lchown(path, uid, gid);
}

/** A run folder, as far as it is shared out. */
interface Shared {
  readonly path: string;
  readonly store: string;
  readonly services: string;
  readonly witnesses: string;
  readonly issuer: string;
  readonly workloadSocket: string;
  readonly issuerSocket: string;
}

/**
 * Opens a run to processes with uids of their own: they pass through its folder and read the image
 * store; the issuer gets its state, and a folder in which it alone can make the Workload API socket.
 * Everything else in the run stays root's: control socket, token, logs.
 */
export async function shareRunFolder(run: Shared, issuer: Credentials): Promise<void> {
  const passable = [run.path, dirname(run.workloadSocket), run.store, run.services, run.witnesses];
  for (const path of passable) await chmod(path, 0o711);
  await giveFolder(run.issuer, issuer);
  await giveFolder(dirname(run.issuerSocket), issuer, 0o711);
  await rm(run.workloadSocket, { force: true });
  await symlink(run.issuerSocket, run.workloadSocket);
}
