import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { promisify } from 'node:util';
import { SETPRIV } from './lifeline.ts';

/** What a process runs under: a uid that no other process has, and the group of the same number. */
export interface Credentials {
  readonly uid: number;
  readonly gid: number;
}

/** How the processes of a swarm are kept apart by the kernel; `status` and verdicts say which. */
export type Isolation =
  | {
      readonly kind: 'uid-per-process';
      /** uids `first` to `first + UIDS_PER_SWARM - 1` are this swarm's. */
      readonly first: number;
      readonly setpriv: string;
      /** Programs of those asked about that such a uid cannot execute where they are. */
      readonly outOfReach: readonly string[];
    }
  | { readonly kind: 'one-uid'; readonly why: string };

/** One for each process of a run, those that come and go included. */
export const UIDS_PER_SWARM = 4096;
/**
 * Above what distributions, systemd and directory services (which end at 2,000,200,000) hand out,
 * below 2^31, where old programs take a uid for a negative number.
 */
const LOWEST_UID = 2_100_002_816;
const BLOCKS = 11_000;

/** CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_KILL, CAP_SETGID, CAP_SETUID, CAP_SETPCAP, CAP_SYS_PTRACE. */
const NEEDED = [0, 1, 5, 6, 7, 8, 19];

export interface IsolationOptions {
  /** Absolute path of the run folder; two runs get two ranges. */
  readonly runPath: string;
  /** First uid of the range; found by itself when absent. */
  readonly first?: number;
  readonly programs: readonly string[];
  /** Folders that every process must be able to pass through. */
  readonly folders: readonly string[];
  /** Files that a process must be able to read: inputs of sensors. */
  readonly readable: readonly string[];
}

function hasCapabilities(): boolean {
  const held = /^CapEff:\s*([0-9a-f]+)$/m.exec(readFileSync('/proc/self/status', 'latin1'))?.[1];
  const bits = BigInt(`0x${held ?? '0'}`);
  return NEEDED.every((bit) => (bits >> BigInt(bit)) % 2n === 1n);
}

/** uids in use at this moment: a process of another swarm, or of who knows what. */
function livingUids(): ReadonlySet<number> {
  const uids = new Set<number>();
  for (const name of readdirSync('/proc')) {
    if (!/^[0-9]+$/.test(name)) continue;
    // A process that ends meanwhile has no uid any more.
    const found = statSync(`/proc/${name}`, { throwIfNoEntry: false });
    if (found !== undefined) uids.add(found.uid);
  }
  return uids;
}

function namedIds(file: string): readonly number[] {
  try {
    const lines = readFileSync(file, 'utf8').split('\n');
    return lines.map((line) => Number(line.split(':')[2])).filter(Number.isSafeInteger);
  } catch {
    return [];
  }
}

/**
 * The range of a run: the same at each start, so that its state keeps its owners, unless somebody
 * has a uid of it.
 */
function freeRange(runPath: string): number | undefined {
  const taken = [...livingUids(), ...namedIds('/etc/passwd'), ...namedIds('/etc/group')];
  const begin = createHash('sha256').update(runPath).digest().readUInt32BE(0) % BLOCKS;
  for (let step = 0; step < BLOCKS; step += 1) {
    const first = LOWEST_UID + ((begin + step) % BLOCKS) * UIDS_PER_SWARM;
    if (!taken.some((uid) => uid >= first && uid < first + UIDS_PER_SWARM)) return first;
  }
  return undefined;
}

/**
 * Asks the kernel, which knows ACLs too. Groups of paths: programs, of which those out of reach are
 * printed; folders and files, of which the first out of reach fails.
 */
const REACH = `next() { [ "$1" != -- ]; }
while next "$1"; do [ -x "$1" ] || echo "$1"; shift; done; shift
while next "$1"; do [ -x "$1" ] || { echo "$1"; exit 1; }; shift; done; shift
for path; do [ -r "$path" ] || { echo "$path"; exit 1; }; done`;

/**
 * A uid for each process, where the starter may give them away: root on Linux, with util-linux'
 * setpriv, and a run folder that another uid reaches. Elsewhere one uid for
 * all, and why. Nothing of the machine is changed to make it possible.
 */
export async function findIsolation(options: IsolationOptions): Promise<Isolation> {
  const oneUid = (why: string): Isolation => ({ kind: 'one-uid', why });
  if (process.platform !== 'linux') return oneUid('only Linux gives each process its own uid');
  if (process.geteuid?.() !== 0) return oneUid('only root gives each process its own uid');
  if (!hasCapabilities()) {
    return oneUid('this root lacks CAP_SYS_PTRACE or another capability; containers drop it');
  }
  const first = options.first ?? freeRange(options.runPath);
  if (first === undefined) return oneUid('every range of uids is in use');
  let why = 'no setpriv of util-linux';
  for (const setpriv of SETPRIV) {
    const credentials = { uid: first, gid: first };
    const paths = [...options.programs, '--', ...options.folders, '--', ...options.readable];
    const args = ['/bin/sh', '-c', REACH, 'sh', ...paths];
    const [command, ...rest] = credentialsCommand(setpriv, credentials, 'none', args);
    try {
      const { stdout } = await promisify(execFile)(command ?? setpriv, rest, { env: {} });
      const outOfReach = stdout.split('\n').filter((line) => line !== '');
      return { kind: 'uid-per-process', first, setpriv, outOfReach };
    } catch (error) {
      const { code, stdout = '' } = error as { code?: unknown; stdout?: string };
      if (code === 'ENOENT') continue;
      const path = stdout.trim().split('\n').at(-1) ?? '';
      why = path === '' ? `uid ${first} cannot be had here` : `uid ${first} may not use ${path}`;
    }
  }
  return oneUid(why);
}

/**
 * Which capability a process keeps. The issuer alone has `read-processes` (CAP_SYS_PTRACE): without
 * it the kernel does not say which program a process of another uid runs. Whoever takes the issuer
 * over has every identity of the swarm anyway; with this, root's processes too.
 */
export type Capability = 'none' | 'read-processes';

/**
 * The command that runs `command` under these credentials: no supplementary group, nothing in any
 * capability set but what is named, and no way to gain privileges by a set-uid program.
 */
export function credentialsCommand(
  setpriv: string,
  { uid, gid }: Credentials,
  capability: Capability,
  command: readonly string[],
): string[] {
  const kept = capability === 'none' ? '-all' : '-all,+sys_ptrace';
  return [
    setpriv,
    ...['--reuid', String(uid), '--regid', String(gid), '--clear-groups', '--no-new-privs'],
    ...[`--inh-caps=${kept}`, `--ambient-caps=${kept}`, `--bounding-set=${kept}`],
    '--',
    ...command,
  ];
}

/** The same command, under credentials where there are any. A parent-death signal must come after. */
export function underCredentials(
  uids: Uids | undefined,
  credentials: Credentials | undefined,
  capability: Capability | undefined,
  [program, args]: readonly [string, readonly string[]],
): [string, readonly string[]] {
  if (uids === undefined || credentials === undefined) return [program, args];
  const command = [program, ...args];
  const [first = program, ...rest] = credentialsCommand(
    uids.setpriv,
    credentials,
    capability ?? 'none',
    command,
  );
  return [first, rest];
}

/** Hands out the uids of one run: one name, one uid, as long as the run lasts; none is used again. */
export interface Uids {
  readonly setpriv: string;
  /** @throws Error when the range is used up */
  of(name: string): Credentials;
}

/** `undefined` with one uid for all. */
export function createUids(isolation: Isolation): Uids | undefined {
  if (isolation.kind === 'one-uid') return undefined;
  const { first, setpriv } = isolation;
  const given = new Map<string, Credentials>();
  return {
    setpriv,
    of: (name) => {
      const known = given.get(name);
      if (known !== undefined) return known;
      if (given.size === UIDS_PER_SWARM) throw new Error(`${name}: no uid is left for it`);
      const uid = first + given.size;
      const credentials = { uid, gid: uid };
      given.set(name, credentials);
      return credentials;
    },
  };
}
