import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  fsyncSync,
  linkSync,
  openSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { accept, type Outcome, refuse } from '../outcome.ts';
import type { IssuerCode } from './codes.ts';

/**
 * Encryption of authority keys at rest: AES-256-GCM under a key derived by HKDF-SHA-256 from a
 * secret that lies in its own 0600 file, outside the database.
 *
 * It protects a database that is copied, backed up or opened without that file, and binds each
 * key to its authority. It does not protect against who can read both files, that is the issuer's
 * uid and root, nor against who reads the issuer's memory.
 */
export interface Sealer {
  seal(plain: Uint8Array, label: string): Uint8Array;
  /** `undefined` when the bytes were not sealed with this secret and label. */
  open(sealed: Uint8Array, label: string): Uint8Array | undefined;
}

const SECRET_BYTES = 32;
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/** @param secret 32 random octets */
export function createSealer(secret: Uint8Array): Sealer {
  const key = Buffer.from(
    hkdfSync('sha256', secret, new Uint8Array(0), 'swarmproof/authority-key/v1', 32),
  );
  return {
    seal: (plain, label) => {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', key, nonce);
      cipher.setAAD(Buffer.from(label, 'utf8'));
      const body = Buffer.concat([cipher.update(plain), cipher.final()]);
      return Buffer.concat([nonce, body, cipher.getAuthTag()]);
    },
    open: (sealed, label) => {
      if (sealed.length < NONCE_BYTES + TAG_BYTES) return undefined;
      const nonce = sealed.subarray(0, NONCE_BYTES);
      const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES });
      decipher.setAAD(Buffer.from(label, 'utf8'));
      decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
      try {
        const body = sealed.subarray(NONCE_BYTES, -TAG_BYTES);
        return Buffer.concat([decipher.update(body), decipher.final()]);
      } catch {
        return undefined;
      }
    },
  };
}

/**
 * Reads the secret, or makes it on first use; refused when others may read it. Whoever is killed while
 * it is made leaves it whole or not at all: without it no authority's key can ever be opened.
 */
export function loadSecret(path: string): Outcome<Uint8Array, IssuerCode> {
  const fail = (why: string) => refuse('STATE_UNREADABLE', `key file ${path}: ${why}`);
  try {
    if (!existsSync(path)) makeSecret(path);
  } catch (error) {
    return fail(`cannot be made (${(error as NodeJS.ErrnoException).code})`);
  }
  let fd: number;
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  } catch {
    return fail('cannot be opened; check its owner and mode 0600');
  }
  try {
    const { mode, size } = fstatSync(fd);
    if ((mode & 0o077) !== 0) return fail('may be read by others; chmod 600 it');
    const secret = Buffer.alloc(SECRET_BYTES);
    if (size !== SECRET_BYTES || readSync(fd, secret) !== SECRET_BYTES) {
      return fail('does not hold 32 octets; remove it together with the state folder');
    }
    return accept(secret);
  } finally {
    closeSync(fd);
  }
}

function synced(path: string, flags: string, write: (fd: number) => void): void {
  const fd = openSync(path, flags, 0o600);
  try {
    write(fd);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** A link fails where there is a secret already: of two that start at once, one makes it. */
function makeSecret(path: string): void {
  const next = `${path}.${randomBytes(8).toString('hex')}`;
  try {
    synced(next, 'wx', (fd) => writeSync(fd, randomBytes(SECRET_BYTES)));
    linkSync(next, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    rmSync(next, { force: true });
  }
  synced(dirname(path), 'r', () => {});
}
