import type { Selector } from '../issuer/entry.ts';
import { accept } from '../outcome.ts';
import { type Accounts, openAccounts } from './accounts.ts';
import type { Attestor } from './attestor.ts';
import { createExecutableDigests } from './executable-digest.ts';
import type { Peer } from './peer.ts';
import { readProcFile } from './proc.ts';

/** Names of selectors that are looked for only while some entry has one. */
const ON_DEMAND = ['path', 'sha256', 'supplementary_gid', 'supplementary_group'] as const;
type OnDemand = (typeof ON_DEMAND)[number];

/** Whether a process may have this selector although it was not found of it. */
export function isOnDemand({ type, value }: Selector): boolean {
  return type === 'unix' && ON_DEMAND.some((name) => value.startsWith(`${name}:`));
}

export interface UnixAttestorOptions {
  /**
   * In place of SPIRE's `discover_workload_path`: whether some entry has selectors of this kind.
   * Groups and a path are looked for, and a file hashed, only while it could matter.
   */
  readonly wanted: (kind: `unix:${OnDemand}`) => boolean;
  /** SPIRE's `workload_size_limit`, in bytes: 0 is no limit, a negative one never hashes. */
  readonly workloadSizeLimit?: number;
  readonly accounts?: Accounts;
}

/** No program that is run is larger; SPIRE has no limit unless one is set. */
const WORKLOAD_SIZE_LIMIT = 512 * 1024 * 1024;

/** `Groups:` of /proc/PID/status. */
export function parseGroups(status: string): readonly number[] {
  const line = /^Groups:[ \t]*([0-9 \t]*)$/m.exec(status)?.[1] ?? '';
  return line
    .split(/[ \t]+/)
    .filter((word) => word !== '')
    .map(Number);
}

function supplementaryGroups(pid: number): readonly number[] {
  try {
    return parseGroups(readProcFile(`/proc/${pid}/status`));
  } catch {
    return [];
  }
}

/** What the kernel says of a process, in SPIRE's words and order. */
export function unixSelectors(
  peer: Pick<Peer, 'uid' | 'gid'>,
  groups: readonly number[],
  accounts: Accounts,
  executable: { readonly path?: string | undefined; readonly sha256?: string | undefined },
): readonly Selector[] {
  const selector = (name: string, value: string | number | undefined): Selector[] =>
    value === undefined ? [] : [{ type: 'unix', value: `${name}:${value}` }];
  return [
    ...selector('uid', peer.uid),
    ...selector('user', accounts.user(peer.uid)),
    ...selector('gid', peer.gid),
    ...selector('group', accounts.group(peer.gid)),
    ...groups.flatMap((gid) => [
      ...selector('supplementary_gid', gid),
      ...selector('supplementary_group', accounts.group(gid)),
    ]),
    ...selector('path', executable.path),
    ...selector('sha256', executable.sha256),
  ];
}

/**
 * SPIRE's `unix` workload attestor.
 *
 * # Security considerations
 *
 * `uid` and `gid` are those with which the caller connected, told by the kernel. Whoever runs code
 * under a uid has its selectors: an entry with `unix:` selectors alone gives its identity to every
 * process of that uid, also to one that the launcher did not start or has quarantined. Root, and a
 * process with CAP_SETUID or CAP_SETGID, can take any of them, `supplementary_gid` included.
 * `path` and `sha256` are of the executable and of nothing else: for an interpreter they are the
 * same whatever script it runs, and whoever may execute the file has them. A debugger attached by
 * the same uid, or an environment such as `LD_PRELOAD`, changes what the program does and not its
 * digest. Names come from the machine's own passwd and group files: who can write those can choose.
 */
export function createUnixAttestor(options: UnixAttestorOptions): Attestor {
  const accounts = options.accounts ?? openAccounts();
  const digests = createExecutableDigests(options.workloadSizeLimit ?? WORKLOAD_SIZE_LIMIT);
  return {
    name: 'unix',
    prepare: async (peer) => {
      if (options.wanted('unix:sha256')) await digests.prepare(peer.pid, peer.exe);
    },
    attest: (peer) => {
      const executable = {
        path: options.wanted('unix:path') ? peer.exe.path : undefined,
        sha256: options.wanted('unix:sha256') ? digests.of(peer.exe) : undefined,
      };
      const more = ['unix:supplementary_gid', 'unix:supplementary_group'] as const;
      const groups = more.some(options.wanted) ? supplementaryGroups(peer.pid) : [];
      return accept(unixSelectors(peer, groups, accounts, executable));
    },
  };
}
