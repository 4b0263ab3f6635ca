import { closeSync, fstatSync, openSync, readSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';

const MAX_LINE_BYTES = 8192;
const CHUNK = 64 * 1024;
const NEWLINE = 10;

/**
 * Each whole line that is added to a file from now on, whoever is quoted in it; longer ones than 8 KiB
 * are left out. The file may not be there yet, and may begin anew, as a log that is turned over does.
 * Returns what ends it.
 */
export function followLines(path: string, onLine: (line: string) => void): () => void {
  let identity: number | undefined;
  let offset = 0;
  let held: Buffer = Buffer.alloc(0);
  let skipping = false;

  const take = (chunk: Buffer): void => {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end !== -1; end = chunk.indexOf(NEWLINE, start)) {
      const line = Buffer.concat([held, chunk.subarray(start, end)]);
      if (!skipping && line.length <= MAX_LINE_BYTES) onLine(line.toString('utf8'));
      held = Buffer.alloc(0);
      skipping = false;
      start = end + 1;
    }
    held = Buffer.concat([held, chunk.subarray(start)]);
    if (held.length > MAX_LINE_BYTES) {
      held = Buffer.alloc(0);
      skipping = true;
    }
  };

  const look = (first: boolean): void => {
    let file: number;
    try {
      file = openSync(path, 'r');
    } catch {
      identity = undefined;
      return;
    }
    try {
      const { ino, size } = fstatSync(file);
      if (ino !== identity || size < offset) {
        offset = first ? size : 0;
        held = Buffer.alloc(0);
        identity = ino;
      }
      const chunk = Buffer.alloc(CHUNK);
      for (;;) {
        const count = readSync(file, chunk, 0, CHUNK, offset);
        if (count === 0) return;
        offset += count;
        take(chunk.subarray(0, count));
      }
    } catch {
      // Gone in the meantime: the next change is looked at again.
    } finally {
      closeSync(file);
    }
  };

  const name = basename(path);
  const watcher = watch(dirname(path), (_event, changed) => {
    if (changed === name) look(false);
  });
  watcher.on('error', () => watcher.close());
  look(true);
  return () => watcher.close();
}
