import { randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import { stateRefusal } from './file-errors.ts';
import { lockState } from './state-lock.ts';
import { WITNESS_NAMES, type WitnessName } from './witness/names.ts';

/** The folders and sockets of one run of a swarm; everything it writes lies here. */
export interface RunFolder {
  readonly id: string;
  /** Absolute, 0700; 0711 when processes have their own uids. */
  readonly path: string;
  /** Images, by digest. Cleared at each start. */
  readonly store: string;
  readonly nats: string;
  readonly issuer: string;
  readonly ledger: string;
  /** Keys of the log and of the attester: the supervisor's alone. */
  readonly custody: string;
  /** One folder for each witness: its key, its memory, proofs of forks. */
  readonly witnesses: string;
  /** One folder for each service that keeps something. */
  readonly services: string;
  readonly logs: string;
  readonly workloadSocket: string;
  /** In a folder that can be the issuer's: there it listens when processes have their own uids. */
  readonly issuerSocket: string;
  /** In a folder that can be the city works': there they show their state. */
  readonly observeSocket: string;
  /** Where a witness listens: in a folder that can be its own. */
  witnessSocket(name: WitnessName): string;
  readonly controlSocket: string;
  /** 0600, 256 bits in hex. */
  readonly tokenFile: string;
  readonly token: string;
  /** Removes sockets and token, and lets the next start have the folder. State stays. */
  close(): Promise<void>;
}

export interface RunFolderOptions {
  /** `.swarmproof/runs/<id>`, or what --state-dir says. */
  readonly path: string;
  readonly id: string;
  /** The system's folder for temporary files, used only when `path` is too long for sockets. */
  readonly tempDir: string;
}

type RunFolderCode = 'STATE_UNWRITABLE' | 'STATE_FULL' | 'STATE_LOCKED' | 'SOCKET_PATH_TOO_LONG';

const WORKLOAD_SOCKET = 'workload.sock';
const CONTROL_SOCKET = 'control.sock';
const STATE_FOLDERS = 'store nats issuer ledger custody witnesses services logs'.split(' ');
const SOCKET_NAMES = [WORKLOAD_SOCKET, CONTROL_SOCKET];
/** Shorter with their sockets than the longest of those names: where that one fits, these do. */
const ISSUER_FOLDER = 'w';
const OBSERVE_FOLDER = 'o';
const witnessFolder = (name: WitnessName): string => `c${WITNESS_NAMES.indexOf(name) + 1}`;
const SOCKET_FOLDERS = [ISSUER_FOLDER, OBSERVE_FOLDER, ...WITNESS_NAMES.map(witnessFolder)];

/** sun_path of unix(7): 108 bytes on Linux, 104 on the BSDs, with the final zero. */
export function maxSocketPath(platform: NodeJS.Platform): number {
  return platform === 'linux' ? 107 : 103;
}

function socketsFit(folder: string): boolean {
  const limit = maxSocketPath(process.platform);
  return SOCKET_NAMES.every((name) => Buffer.byteLength(join(folder, name)) <= limit);
}

/** Where sockets lie: the run folder itself or, when its path is too long, a short private folder. */
async function socketFolder(
  path: string,
  tempDir: string,
): Promise<Outcome<{ folder: string; temporary: boolean }, 'SOCKET_PATH_TOO_LONG'>> {
  if (socketsFit(path)) return accept({ folder: path, temporary: false });
  if (!socketsFit(join(tempDir, 'swarmproof-XXXXXX'))) {
    const limit = maxSocketPath(process.platform);
    return refuse(
      'SOCKET_PATH_TOO_LONG',
      `${path}: socket paths have at most ${limit} bytes here and ${tempDir} is too long too; choose a shorter folder with --state-dir`,
    );
  }
  // mkdtemp makes it 0700 and its name cannot be guessed ahead.
  return accept({ folder: await mkdtemp(join(tempDir, 'swarmproof-')), temporary: true });
}

/** Like `mkdir -p`. Node's own recursive mkdir never returns where ENOENT stays, as below /proc. */
async function makeFolder(path: string, mode = 0o700): Promise<void> {
  const make = async (): Promise<'made' | 'parent missing'> => {
    try {
      await mkdir(path, { mode });
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === 'ENOENT') return 'parent missing';
      if (code !== 'EEXIST' || !(await stat(path)).isDirectory()) throw error;
    }
    return 'made';
  };
  if ((await make()) === 'made') return;
  // Those above hold nothing themselves; other uids pass through, see `launcher/ownership.ts`.
  if (dirname(path) !== path) await makeFolder(dirname(path), 0o711);
  if ((await make()) !== 'made') throw Object.assign(new Error(path), { code: 'ENOENT' });
}

/** Makes or takes over the folder of a run and locks it. A second start on it is refused. */
export async function openRunFolder(
  options: RunFolderOptions,
): Promise<Outcome<RunFolder, RunFolderCode>> {
  const path = resolve(options.path);
  const inside = (name: string): string => join(path, name);
  try {
    await makeFolder(path);
    await chmod(path, 0o700);
    const lock = await lockState(path);
    if (!lock.ok) return lock;
    const undo: (() => Promise<void>)[] = [async () => lock.value.release()];
    const close = async (): Promise<void> => {
      for (const step of undo.splice(0).reverse()) await step();
    };
    try {
      await rm(inside('store'), { recursive: true, force: true });
      for (const name of STATE_FOLDERS) await makeFolder(inside(name));
      const sockets = await socketFolder(path, options.tempDir);
      if (!sockets.ok) {
        await close();
        return sockets;
      }
      const { folder, temporary } = sockets.value;
      if (temporary) undo.push(() => rm(folder, { recursive: true, force: true }));
      const removeSockets = async (): Promise<void> => {
        for (const name of [...SOCKET_NAMES, ...SOCKET_FOLDERS]) {
          await rm(join(folder, name), { force: true, recursive: true });
        }
      };
      await removeSockets();
      for (const name of SOCKET_FOLDERS) await makeFolder(join(folder, name));
      undo.push(removeSockets);

      const token = randomBytes(32).toString('hex');
      const tokenFile = inside('control.token');
      await rm(tokenFile, { force: true });
      await writeFile(tokenFile, token, { mode: 0o600, flag: 'wx' });
      const pointer = inside('control.path');
      await writeFile(pointer, join(folder, CONTROL_SOCKET), { mode: 0o600 });
      undo.push(async () => {
        await rm(tokenFile, { force: true });
        await rm(pointer, { force: true });
      });
      return accept({
        id: options.id,
        path,
        store: inside('store'),
        nats: inside('nats'),
        issuer: inside('issuer'),
        ledger: inside('ledger'),
        custody: inside('custody'),
        witnesses: inside('witnesses'),
        services: inside('services'),
        logs: inside('logs'),
        workloadSocket: join(folder, WORKLOAD_SOCKET),
        issuerSocket: join(folder, ISSUER_FOLDER, 'api.sock'),
        observeSocket: join(folder, OBSERVE_FOLDER, 'works.sock'),
        witnessSocket: (name) => join(folder, witnessFolder(name), 'add.sock'),
        controlSocket: join(folder, CONTROL_SOCKET),
        tokenFile,
        token,
        close,
      });
    } catch (error) {
      await close();
      return stateRefusal(path, error);
    }
  } catch (error) {
    return stateRefusal(path, error);
  }
}
