import { createHash } from 'node:crypto';
import { constants, type FileHandle, open, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import type { AgentCode } from '../codes.ts';
import { inert } from '../text.ts';

/** A line without its end. `whole` is false when it exceeded the limit and was cut. */
export interface Line {
  readonly number: number;
  readonly text: string;
  readonly whole: boolean;
  /** False when the bytes are not UTF-8; the text then has replacement characters. */
  readonly utf8: boolean;
}

export interface LineFile {
  readonly name: string;
  readonly lines: AsyncGenerator<Line, void, undefined>;
  /** Set after the last line when reading stopped early. */
  failure(): string | undefined;
  /** Ends a reading that waits for more. */
  end(): void;
  /** Ending the generator would not do: one that was never started runs no `finally`. */
  close(): Promise<void>;
}

export const MAX_LINE_BYTES = 65_536;
const CHUNK_BYTES = 65_536;
const FINGERPRINT_BYTES = 4096;
const NEWLINE = 10;
const RETURN = 13;

const REASONS: Readonly<Record<string, readonly [AgentCode, string]>> = {
  ENOENT: ['SOURCE_MISSING', 'no such file; check the path in the swarm file'],
  ENOTDIR: ['SOURCE_MISSING', 'no such file; check the path in the swarm file'],
  EACCES: ['SOURCE_UNREADABLE', 'not readable; change its permissions'],
  ERR_ACCESS_DENIED: ['SOURCE_UNREADABLE', 'this process was not started with leave to read it'],
  EISDIR: ['SOURCE_NOT_A_FILE', 'is a directory; name a file in it'],
};

function refusalOf(path: string, error: unknown) {
  const code = (error as { readonly code?: unknown }).code;
  const [reason, fix] = (typeof code === 'string' ? REASONS[code] : undefined) ?? [
    'SOURCE_UNREADABLE' as const,
    `cannot be read (${typeof code === 'string' ? code : 'unknown error'})`,
  ];
  return refuse(reason, `${inert(path, 200)}: ${fix}`);
}

/**
 * Opens a file for reading line by line. No more than one chunk and one line are in memory. The
 * name carries the first bytes' digest: another file under the same name is another source.
 *
 * With `follow` its end is not the last line's: what is added is read as it comes, and a line counts
 * when its end is there. Such a file is known again by its first line, since it grows. One that was
 * cut or replaced ends the reading with a failure: rows are known by their number, and the rows of
 * another file would be taken for those that were read.
 */
export async function openLines(
  path: string,
  options: { readonly follow: boolean } = { follow: false },
): Promise<Outcome<LineFile, AgentCode>> {
  const { follow } = options;
  let file: FileHandle;
  try {
    // Without O_NONBLOCK a named pipe would hold the process until somebody writes to it.
    file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  } catch (error) {
    return refusalOf(path, error);
  }
  try {
    const found = await file.stat();
    if (!found.isFile()) {
      await file.close();
      return found.isDirectory()
        ? refusalOf(path, { code: 'EISDIR' })
        : refuse('SOURCE_NOT_A_FILE', `${inert(path, 200)}: is not a regular file`);
    }
    if (found.size === 0) {
      await file.close();
      return refuse('SOURCE_EMPTY', `${inert(path, 200)}: is empty; give it a header and rows`);
    }
    const head = Buffer.alloc(FINGERPRINT_BYTES);
    const { bytesRead } = await file.read(head, 0, FINGERPRINT_BYTES, 0);
    const start = head.subarray(0, bytesRead);
    const end = start.indexOf(NEWLINE);
    if (follow && end === -1 && bytesRead < FINGERPRINT_BYTES) {
      await file.close();
      return refuse(
        'SOURCE_EMPTY',
        `${inert(path, 200)}: a followed file begins with a whole line`,
      );
    }
    const known = follow && end !== -1 ? start.subarray(0, end) : start;
    const digest = createHash('sha256').update(known).digest('hex');
    const plain = basename(path)
      .replace(/[^A-Za-z0-9._-]/g, '_')
      .slice(0, 48);
    let failed: string | undefined;
    const ended = new AbortController();
    const lines = readLines(
      file,
      (detail) => {
        failed = detail;
      },
      follow ? (read) => grown(file, path, read, ended.signal) : undefined,
    );
    return accept({
      name: `${plain}-${digest.slice(0, 8)}`,
      lines,
      failure: () => failed,
      end: () => ended.abort(),
      close: () => file.close(),
    });
  } catch (error) {
    await file.close().catch(() => undefined);
    return refusalOf(path, error);
  }
}

type Growth = 'more' | 'ended' | 'the file was cut' | 'the file was replaced';

/** How long after its coming a line may be read: watching a file needs more rights than reading it. */
const LOOK_MS = 50;

/** Resolves when there is more to read than `position`, or there never will be. */
async function grown(
  file: FileHandle,
  path: string,
  position: number,
  signal: AbortSignal,
): Promise<Growth> {
  const { ino, dev } = await file.stat();
  for (;;) {
    if (signal.aborted) return 'ended';
    const { size } = await file.stat();
    if (size > position) return 'more';
    if (size < position) return 'the file was cut';
    const named = await stat(path).catch(() => undefined);
    if (named?.ino !== ino || named.dev !== dev) return 'the file was replaced';
    await pause(LOOK_MS, undefined, { signal }).catch(() => undefined);
  }
}

async function* readLines(
  file: FileHandle,
  onFailure: (detail: string) => void,
  more?: (position: number) => Promise<Growth>,
): AsyncGenerator<Line, void, undefined> {
  const chunk = Buffer.alloc(CHUNK_BYTES);
  const parts: Buffer[] = [];
  let held = 0;
  let whole = true;
  let number = 0;
  let position = 0;

  const keep = (bytes: Buffer) => {
    const room = MAX_LINE_BYTES - held;
    if (bytes.length > room) whole = false;
    if (room <= 0 || bytes.length === 0) return;
    // The chunk is read over again: what outlives it is copied.
    const kept = Buffer.from(bytes.subarray(0, room));
    parts.push(kept);
    held += kept.length;
  };
  const take = (): Line => {
    number += 1;
    let bytes = parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
    if (whole && bytes.at(-1) === RETURN) bytes = bytes.subarray(0, -1);
    const line = decode(bytes, number, whole);
    parts.length = 0;
    held = 0;
    whole = true;
    return line;
  };

  try {
    for (;;) {
      const { bytesRead } = await file.read(chunk, 0, CHUNK_BYTES, position);
      if (bytesRead === 0) {
        const growth = await more?.(position);
        if (growth === 'more') continue;
        if (growth === undefined) break;
        // What has no end yet is no line: its writer may be at it.
        if (growth !== 'ended') onFailure(`${growth} after line ${number}; start the sensor again`);
        return;
      }
      position += bytesRead;
      let start = 0;
      for (let end = chunk.indexOf(NEWLINE); end !== -1 && end < bytesRead; ) {
        keep(chunk.subarray(start, end));
        yield take();
        start = end + 1;
        end = chunk.indexOf(NEWLINE, start);
      }
      keep(chunk.subarray(start, bytesRead));
    }
    if (held > 0) yield take();
  } catch (error) {
    const code = (error as { readonly code?: unknown }).code;
    onFailure(`reading stopped after line ${number}: ${String(code ?? 'unknown error')}`);
  }
}

function decode(bytes: Buffer, number: number, whole: boolean): Line {
  // A byte order mark is dropped at the start of the file; anywhere else it is text.
  const plain =
    number === 1 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf
      ? bytes.subarray(3)
      : bytes;
  const text = plain.toString('utf8');
  const utf8 = !text.includes('\ufffd') || Buffer.from(text, 'utf8').equals(plain);
  return { number, text, whole, utf8 };
}
