import { createPrivateKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';
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
): Promise<Outcome<KeyObject, 'KEY_FILE_UNUSABLE'>> {
  const unusable = (what: string) => refuse('KEY_FILE_UNUSABLE' as const, `${path}: ${what}`);
  try {
    const key = createPrivateKey(await readFile(path));
    if (key.asymmetricKeyType === 'ed25519') return accept(key);
    return unusable('not an Ed25519 key; put the right file back');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOENT') {
      return unusable('cannot be read as a private key; put the file back as it was');
    }
    if (absent === 'refuse') return unusable('is missing, though it was in use; put it back');
  }
  const { privateKey } = generateKeyPairSync('ed25519');
  try {
    await writeDurably(path, privateKey.export({ format: 'pem', type: 'pkcs8' }).toString());
  } catch (error) {
    return unusable(`cannot be written (${(error as NodeJS.ErrnoException).code ?? 'error'})`);
  }
  return accept(privateKey);
}
