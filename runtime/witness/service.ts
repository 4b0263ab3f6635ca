import { addCosignature, cosign } from '#custody/log/checkpoint.ts';
import type { VerifierKey } from '#custody/log/keys.ts';
import { parseNote } from '#custody/log/note.ts';
import { createWitness } from '#custody/log/witness.ts';
import { accept, type Outcome } from '#identity/outcome.ts';
import { stateRefusal } from '../file-errors.ts';
import { serveWitness, type WitnessLimits } from './server.ts';
import { openWitnessFiles } from './store.ts';

export interface WitnessServiceOptions {
  /** Name of its key in cosignatures. */
  readonly keyName: string;
  /** Its own verifier key, where others have pinned it: with another it does not start. */
  readonly pinned?: string | undefined;
  /** Absolute paths of a folder of its own, and of the socket. */
  readonly folder: string;
  readonly socketPath: string;
  /** Origin → keys of that log. */
  readonly logs: ReadonlyMap<string, readonly VerifierKey[]>;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** It cosigned; `time` in seconds. */
  readonly onCosigned: (size: number, time: number) => void;
  /** A log signed two histories: proven now, or before its last start. */
  readonly onFork: (origin: string) => void;
  readonly limits?: Partial<WitnessLimits>;
}

export interface WitnessService {
  readonly vkey: string;
  close(): Promise<void>;
  status(): Readonly<Record<string, unknown>>;
}

/** A witness with its files and its socket: core, store and server joined. */
export async function startWitness(
  options: WitnessServiceOptions,
): Promise<
  Outcome<
    WitnessService,
    | 'KEY_FILE_UNUSABLE'
    | 'WITNESS_MEMORY_DAMAGED'
    | 'STATE_UNWRITABLE'
    | 'STATE_FULL'
    | 'STATE_LOCKED'
  >
> {
  const { logs, clock, onFork } = options;
  const files = await openWitnessFiles(options).catch((error: unknown) =>
    stateRefusal(options.folder, error),
  );
  if (!files.ok) return files;
  const { signer, store, forks } = files.value;
  let newest: { readonly size: number; readonly time: number } | undefined;
  const core = createWitness({
    signer,
    logs,
    clock,
    store: {
      ...store,
      write: async (origin, memory) => {
        await store.write(origin, memory);
        newest = { size: memory.size, time: memory.time };
      },
    },
  });
  const server = await serveWitness({
    socketPath: options.socketPath,
    ...(options.limits && { limits: options.limits }),
    origins: [...logs.keys()],
    forks,
    last: async (origin) => {
      const memory = await store.read(origin);
      const note = memory === undefined ? undefined : parseNote(memory.note);
      if (memory === undefined || note?.ok !== true) return undefined;
      return addCosignature(memory.note, cosign(note.value.text, signer, memory.time));
    },
    witness: {
      cosign: async (request) => {
        const answer = await core.cosign(request);
        if (answer.ok && newest !== undefined) options.onCosigned(newest.size, newest.time);
        return answer;
      },
    },
  });
  if (!server.ok) return server;
  // What was proven once stays said: a restart is no pardon.
  if (forks().length > 0) for (const origin of logs.keys()) onFork(origin);
  return accept({
    vkey: signer.verifier.vkey,
    close: () => server.value.close(),
    status: () => ({ ...newest, forks: forks().length }),
  });
}
