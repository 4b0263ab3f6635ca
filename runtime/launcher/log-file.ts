import { createWriteStream, renameSync, statSync, type WriteStream } from 'node:fs';
import type { Readable } from 'node:stream';

/** One log file and its predecessor: a process that floods its log fills no disk. */
export const MAX_LOG_BYTES = 4 * 1024 * 1024;
const TAIL_BYTES = 2048;

export interface ProcessLog {
  readonly path: string;
  /** Writes a stream's output until it ends. */
  take(stream: Readable): void;
  /** The last lines, for the message of a process that failed. */
  tail(): string;
  close(): void;
}

/** Appends to `path`; beyond `maxBytes` the file becomes `path.1` and a new one begins. */
export function openProcessLog(path: string, maxBytes: number = MAX_LOG_BYTES): ProcessLog {
  let size = 0;
  try {
    size = statSync(path).size;
  } catch {
    // A first start.
  }
  let last = Buffer.alloc(0);
  const open = (): WriteStream => {
    const stream = createWriteStream(path, { flags: 'a', mode: 0o600 });
    // A full disk costs the log, never the swarm.
    stream.on('error', () => {});
    return stream;
  };
  let file = open();
  const write = (chunk: Buffer): void => {
    last = Buffer.concat([last, chunk]).subarray(-TAIL_BYTES);
    if (size + chunk.length > maxBytes && size > 0) {
      file.end();
      try {
        renameSync(path, `${path}.1`);
      } catch {
        // Not renamed: the file goes on growing by what one chunk holds, and is tried again.
      }
      file = open();
      size = 0;
    }
    size += chunk.length;
    file.write(chunk.subarray(0, maxBytes));
  };
  return {
    path,
    take: (stream) => {
      stream.on('data', write);
      stream.on('error', () => {});
    },
    tail: () => last.toString('utf8').trimEnd().split('\n').slice(-3).join(' | '),
    close: () => file.end(),
  };
}
