/**
 * How far a Node process is closed in by flags. A seat belt, not a boundary: the permission model
 * covers neither signals nor the network, and code of one uid reaches far in other ways.
 * - `sealed`: reads only the image store (and named files), writes nothing but folders of its own
 *   where it has any, starts nothing.
 * - `plain`: for processes with native code or state of their own (issuer, ledger, vector search).
 */
export type Hardening = 'sealed' | 'plain';

export interface FlagOptions {
  readonly hardening: Hardening;
  /** Absolute path of the store's folder. */
  readonly store: string;
  /** Absolute real paths of single files that a sealed process may read too: a sensor's input. */
  readonly readFiles?: readonly string[];
  /** Absolute paths of folders that a sealed process reads and writes: a witness's own. */
  readonly ownFolders?: readonly string[];
  /** The image carries a native file. */
  readonly native?: boolean;
}

/**
 * The fixed arguments of a process. Without `--disable-sigusr1` any process of the same uid opens
 * the inspector by a signal and reads the memory; `node:sqlite` opens files whatever the
 * permission model says.
 */
export function hardeningFlags(options: FlagOptions): readonly string[] {
  const flags = ['--disable-sigusr1'];
  if (options.hardening === 'plain')
    return options.native === true ? flags : [...flags, '--no-addons'];
  return [
    ...flags,
    '--no-addons',
    '--permission',
    `--allow-fs-read=${options.store}/`,
    ...(options.readFiles ?? []).map((path) => `--allow-fs-read=${path}`),
    ...(options.ownFolders ?? []).flatMap((path) => [
      `--allow-fs-read=${path}/`,
      `--allow-fs-write=${path}/`,
    ]),
    '--no-experimental-sqlite',
  ];
}
