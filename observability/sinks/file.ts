import { type FileHandle, open, rename } from 'node:fs/promises';
import type { Sink } from '../collector.ts';

/** One file and its predecessor: a swarm that runs for weeks fills no disk. */
const MAX_BYTES = 64 * 1024 * 1024;

/**
 * Appends one OTLP export request a line, as the OpenTelemetry file format has it and Jaeger's UI
 * takes it by upload. Readable by its owner alone. What cannot be written (a full disk, a folder
 * that may not be written) is counted, and said once.
 */
export function createFileSink(options: {
  readonly path: string;
  readonly maxBytes?: number;
  /** Opens a file to append to; default the file system’s own. */
  readonly open?: (path: string) => Promise<FileHandle>;
  /** One line: what is wrong with the file. */
  readonly onTrouble: (line: string) => void;
}): Sink {
  const { path, maxBytes = MAX_BYTES } = options;
  const openFile = options.open ?? ((name: string) => open(name, 'a', 0o600));
  let file: FileHandle | undefined;
  let size = 0;
  let lost = 0;
  let said = false;
  /** A file of the run before is its predecessor. */
  let begun = false;
  let last: Promise<void> = Promise.resolve();

  async function append(request: Uint8Array): Promise<void> {
    const line = Buffer.concat([request, Buffer.from('\n')]);
    if (file !== undefined && size > 0 && size + line.length > maxBytes) {
      await file.close();
      file = undefined;
      await rename(path, `${path}.1`);
    }
    if (!begun) {
      await rename(path, `${path}.1`).catch(() => undefined);
      begun = true;
    }
    if (file === undefined) {
      file = await openFile(path);
      size = (await file.stat()).size;
    }
    try {
      let at = 0;
      while (at < line.length) at += (await file.write(line, at)).bytesWritten;
      size += line.length;
    } catch (error) {
      // A line is there whole or not at all: half of one would spoil the next.
      await file.truncate(size).catch(() => undefined);
      throw error;
    }
  }

  return {
    name: 'file',
    write(request, spans) {
      last = last.then(() =>
        append(request).catch(async (error: NodeJS.ErrnoException) => {
          lost += spans;
          if (!said)
            options.onTrouble(`traces are not written: ${error.code ?? 'error'} at ${path}`);
          said = true;
        }),
      );
      return last;
    },
    async close() {
      await last;
      await file?.close().catch(() => undefined);
      file = undefined;
    },
    lost: () => lost,
  };
}
