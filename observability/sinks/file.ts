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
  /** One line: what is wrong with the file. */
  readonly onTrouble: (line: string) => void;
}): Sink {
  const { path, maxBytes = MAX_BYTES } = options;
  let file: FileHandle | undefined;
  let size = 0;
  let lost = 0;
  let said = false;
  let last: Promise<void> = Promise.resolve();

  async function append(request: Uint8Array): Promise<void> {
    const line = Buffer.concat([request, Buffer.from('\n')]);
    if (file !== undefined && size > 0 && size + line.length > maxBytes) {
      await file.close();
      file = undefined;
      await rename(path, `${path}.1`);
    }
    if (file === undefined) {
      file = await open(path, 'a', 0o600);
      size = (await file.stat()).size;
    }
    let at = 0;
    while (at < line.length) at += (await file.write(line, at)).bytesWritten;
    size += line.length;
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
