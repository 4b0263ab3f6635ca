import { createHash } from 'node:crypto';
import { constants, type FileHandle, open } from 'node:fs/promises';
import { basename } from 'node:path';
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
 */
export async function openLines(path: string): Promise<Outcome<LineFile, AgentCode>> {
  let file: FileHandle;
  try {
    // Without O_NONBLOCK a named pipe would hold the process until somebody writes to it.
    file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  } catch (error) {
    return refusalOf(path, error);
  }
  try {
    const stat = await file.stat();
    if (!stat.isFile()) {
      await file.close();
      return stat.isDirectory()
        ? refusalOf(path, { code: 'EISDIR' })
        : refuse('SOURCE_NOT_A_FILE', `${inert(path, 200)}: is not a regular file`);
    }
    if (stat.size === 0) {
      await file.close();
      return refuse('SOURCE_EMPTY', `${inert(path, 200)}: is empty; give it a header and rows`);
    }
    const head = Buffer.alloc(FINGERPRINT_BYTES);
    const { bytesRead } = await file.read(head, 0, FINGERPRINT_BYTES, 0);
    const digest = createHash('sha256').update(head.subarray(0, bytesRead)).digest('hex');
    const plain = basename(path)
      .replace(/[^A-Za-z0-9._-]/g, '_')
      .slice(0, 48);
    let failed: string | undefined;
    const lines = readLines(file, (detail) => {
      failed = detail;
    });
    return accept({
      name: `${plain}-${digest.slice(0, 8)}`,
      lines,
      failure: () => failed,
      close: () => file.close(),
    });
  } catch (error) {
    await file.close().catch(() => undefined);
    return refusalOf(path, error);
  }
}

async function* readLines(
  file: FileHandle,
  onFailure: (detail: string) => void,
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
      if (bytesRead === 0) break;
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
