import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readFile, rename } from 'node:fs/promises';
import { accept, type Outcome, type Refused, refuse } from '#identity/outcome.ts';
import { writeDurably } from './durable-file.ts';

/** A private Ed25519 key as it goes from one process to another in memory: PKCS#8, base64. */
export function keySecret(key: KeyObject): string {
  return key.export({ format: 'der', type: 'pkcs8' }).toString('base64');
}

/** @throws Error when it is not what `keySecret` gives; the secret is not in the message */
export function keyFromSecret(secret: string): KeyObject {
  try {
    return createPrivateKey({ key: Buffer.from(secret, 'base64'), format: 'der', type: 'pkcs8' });
  } catch {
    throw new Error('a secret is no private key');
  }
}

/**
 * The Ed25519 key in a file (PKCS#8, PEM, 0600), made when there is none and `absent` says so. A
 * file that is there and unusable is never overwritten: others have pinned what it holds.
 */
export async function openKeyFile(
  path: string,
  absent: 'make' | 'refuse',
): Promise<Outcome<KeyObject, KeyFileCode>> {
  const read = await readKeyFile(path);
  if (!read.ok) return read;
  if (read.value !== undefined) return accept(read.value);
  if (absent === 'refuse') return unusable(path, 'is missing, though it was in use; put it back');
  return makeKeyFile(path);
}

/** A new key in a file; what was in the file is gone. */
export async function makeKeyFile(path: string): Promise<Outcome<KeyObject, KeyFileCode>> {
  const { privateKey } = generateKeyPairSync('ed25519');
  try {
    await writeDurably(path, privateKey.export({ format: 'pem', type: 'pkcs8' }).toString());
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return unusable(path, `cannot be written (${code ?? 'error'})`);
  }
  return accept(privateKey);
}

/** Where a key lies that is to follow the one in `path` as soon as it is pinned. */
export function nextKeyFile(path: string): string {
  return `${path}.next`;
}

/**
 * The key that others have pinned: in its file, or in the one of its successor, which then takes
 * its place. So a change of keys is done when the pins are changed, and a crash halfway is none.
 */
export async function openPinnedKeyFile(
  path: string,
  isPinned: (key: KeyObject) => boolean,
): Promise<Outcome<KeyObject, KeyFileCode>> {
  const present = await readKeyFile(path);
  if (present.ok && present.value !== undefined && isPinned(present.value)) {
    return accept(present.value);
  }
  const next = await readKeyFile(nextKeyFile(path));
  if (next.ok && next.value !== undefined && isPinned(next.value)) {
    await rename(nextKeyFile(path), path);
    return accept(next.value);
  }
  if (!present.ok) return present;
  const what =
    present.value === undefined ? 'is missing' : 'is not the key that others have pinned';
  return unusable(path, `${what}; put the right file back`);
}

type KeyFileCode = 'KEY_FILE_UNUSABLE';

function unusable(path: string, what: string): Refused<KeyFileCode> {
  return refuse('KEY_FILE_UNUSABLE', `${path}: ${what}`);
}

/** `undefined` when there is no file. */
async function readKeyFile(path: string): Promise<Outcome<KeyObject | undefined, KeyFileCode>> {
  try {
    const key = createPrivateKey(await readFile(path));
    if (key.asymmetricKeyType === 'ed25519') return accept(key);
    return unusable(path, 'not an Ed25519 key; put the right file back');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return accept(undefined);
    return unusable(path, 'cannot be read as a private key; put the file back as it was');
  }
}
