import { createReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { parseTrust, type Trust } from '#custody/evidence/trust.ts';
import { UserError } from '../output.ts';

/** What a command was given and cannot use, beside the four verdicts: like wrong usage. */
export const EXIT_UNREADABLE = 2;
const CHUNK = 65_536;
const MAX_TRUST_BYTES = 4_194_304;

const WHY: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EACCES: 'may not be read',
  EPERM: 'may not be read',
  EISDIR: 'is a folder',
};

function refusal(path: string, error: unknown): UserError {
  const code = (error as NodeJS.ErrnoException | undefined)?.code ?? 'unknown error';
  return new UserError(`${path}: ${WHY[code] ?? `cannot be read (${code})`}`, EXIT_UNREADABLE);
}

/** A file in chunks; `-` is what comes in. @throws UserError, also while it is read */
export async function* chunksOf(path: string): AsyncGenerator<Uint8Array> {
  const stream = path === '-' ? process.stdin : createReadStream(path, { highWaterMark: CHUNK });
  try {
    for await (const chunk of stream) yield chunk as Uint8Array;
  } catch (error) {
    throw refusal(path, error);
  }
}

/** A small file as text. @throws UserError */
export async function textOf(path: string, maxBytes: number): Promise<string> {
  if (path === '-') {
    const chunks: Uint8Array[] = [];
    let size = 0;
    for await (const chunk of chunksOf(path)) {
      size += chunk.length;
      if (size > maxBytes) throw tooLarge(path, maxBytes);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString('utf8');
  }
  let file: FileHandle | undefined;
  try {
    file = await open(path, 'r');
    if ((await file.stat()).size > maxBytes) throw tooLarge(path, maxBytes);
    return await file.readFile('utf8');
  } catch (error) {
    throw error instanceof UserError ? error : refusal(path, error);
  } finally {
    await file?.close();
  }
}

function tooLarge(path: string, maxBytes: number): UserError {
  return new UserError(`${path}: is larger than ${maxBytes} bytes`, EXIT_UNREADABLE);
}

/** The reader's own trust file. @throws UserError that says what is wrong with it */
export async function trustOf(path: string): Promise<Trust> {
  const trust = parseTrust(await textOf(path, MAX_TRUST_BYTES));
  if (trust.ok) return trust.value;
  throw new UserError(`${path}: is no trust file: ${trust.detail}`, EXIT_UNREADABLE);
}
