import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs';
import type { Readable } from 'node:stream';

/** One log file and its predecessor: a process that floods its log fills no disk. */
export const MAX_LOG_BYTES = 4 * 1024 * 1024;
const TAIL_BYTES = 2048;
const TAIL_LINES = 3;

const MAX_DETAIL = 500;

/** What a process said, for a person's terminal: one short line in which nothing is obeyed. */
export function plainText(text: string, limit: number = MAX_DETAIL): string {
  return text.slice(0, limit).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/gu, '?');
}

export interface ProcessLog {
  readonly path: string;
  /** Writes a stream's output until it ends. */
  take(stream: Readable): void;
  /** The last lines, for the message of a process that failed. */
  tail(): string;
  close(): void;
}

/**
 * Appends to `path`; beyond `maxBytes` the file becomes `path.1` and a new one begins. Written
 * synchronously, so that a rename never overtakes an opening. A log that cannot be written (a full
 * disk) costs the log, never the swarm.
 */
export function openProcessLog(path: string, maxBytes: number = MAX_LOG_BYTES): ProcessLog {
  let file: number | undefined;
  let size = 0;
  let last = Buffer.alloc(0);

  const attempt = (act: () => void): void => {
    try {
      act();
    } catch {
      // See above.
    }
  };
  const close = (): void => {
    const open = file;
    file = undefined;
    if (open !== undefined) attempt(() => closeSync(open));
  };
  const open = (): void => {
    file = openSync(path, 'a', 0o600);
    size = fstatSync(file).size;
  };
  const write = (chunk: Buffer): void => {
    last = Buffer.concat([last, chunk]).subarray(-TAIL_BYTES);
    attempt(() => {
      if (size > 0 && size + chunk.length > maxBytes) {
        close();
        renameSync(path, `${path}.1`);
      }
      if (file === undefined) open();
      // A chunk of a pipe is at most 64 KiB; of a longer one the log keeps the beginning.
      if (file !== undefined) size += writeSync(file, chunk.subarray(0, maxBytes));
    });
  };

  attempt(open);
  return {
    path,
    take: (stream) => {
      stream.on('data', write);
      stream.on('error', () => {});
    },
    tail: () =>
      plainText(
        last.toString('utf8').trimEnd().split('\n').slice(-TAIL_LINES).join(' | '),
        TAIL_BYTES,
      ),
    close,
  };
}
