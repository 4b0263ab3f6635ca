import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  randomUUID,
} from 'node:crypto';
import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  signImage as signReference,
  verifyImageSignature,
} from '#identity/issuer/launcher-link.ts';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import {
  imageDigest,
  MANIFEST_FILE,
  manifestSchema,
  SIGNATURE_FILE,
  signatureSchema,
} from './manifest.ts';

const PRIVATE_FILE = 'ci-key.pem';
const PUBLIC_FILE = 'ci-key.pub.pem';

/** The public half that launcher and issuer trust; `keyId` is derived from it. */
export interface CiPublicKey {
  readonly keyId: string;
  readonly publicKey: KeyObject;
}

function publicHalf(publicKey: KeyObject): CiPublicKey {
  const spki = publicKey.export({ type: 'spki', format: 'der' });
  return { keyId: `ci-${createHash('sha256').update(spki).digest('hex').slice(0, 16)}`, publicKey };
}

/** What a swarm reads at start: the public half alone. The private file is not opened. */
export async function readCiPublicKey(
  folder: string,
): Promise<Outcome<CiPublicKey, 'IMAGE_KEY_UNUSABLE'>> {
  const path = join(folder, PUBLIC_FILE);
  try {
    const key = createPublicKey(await readFile(path));
    if (key.asymmetricKeyDetails?.namedCurve !== 'prime256v1') throw new Error('not P-256');
    return accept(publicHalf(key));
  } catch {
    return refuse(
      'IMAGE_KEY_UNUSABLE',
      `${path}: no P-256 public key there; build the images first`,
    );
  }
}

/** CI's own key pair, made at the first build. Only the build step calls this. */
async function ciPrivateKey(folder: string): Promise<KeyObject> {
  const path = join(folder, PRIVATE_FILE);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  try {
    return createPrivateKey(await readFile(path));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const aside = `${path}.${randomUUID()}`;
  await writeFile(aside, privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 });
  try {
    // Two first builds at once: the one whose link comes first has made the key for both.
    await link(aside, path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await rm(aside, { force: true });
  }
  return createPrivateKey(await readFile(path));
}

async function signedAlready(
  path: string,
  name: string,
  digest: string,
  key: CiPublicKey,
): Promise<boolean> {
  try {
    const found = signatureSchema.parse(JSON.parse(await readFile(path, 'utf8')));
    return (
      found.keyId === key.keyId && verifyImageSignature({ name, digest, ...found }, key.publicKey)
    );
  } catch {
    return false;
  }
}

export interface ImageSigner {
  readonly key: CiPublicKey;
  /** Signs the image in a folder as its manifest stands, and writes the signature beside it. */
  sign(imageFolder: string): Promise<Outcome<{ readonly digest: string }, 'IMAGE_UNREADABLE'>>;
}

/** The "CI" step. @param folder holds the key pair: the private half 0600, the public half 0644. */
export async function createImageSigner(
  folder: string,
): Promise<Outcome<ImageSigner, 'IMAGE_KEY_UNUSABLE'>> {
  let privateKey: KeyObject;
  let key: CiPublicKey;
  try {
    privateKey = await ciPrivateKey(folder);
    key = publicHalf(createPublicKey(privateKey));
    const pem = key.publicKey.export({ type: 'spki', format: 'pem' });
    // Each build writes it anew, and swarms that start meanwhile read it: renamed, never half.
    const aside = join(folder, `${PUBLIC_FILE}.${randomUUID()}`);
    await writeFile(aside, pem, { mode: 0o644 });
    await rename(aside, join(folder, PUBLIC_FILE));
  } catch {
    return refuse(
      'IMAGE_KEY_UNUSABLE',
      `${folder}: cannot make or read ${PRIVATE_FILE}; delete it to make a new one`,
    );
  }
  return accept({
    key,
    sign: async (imageFolder) => {
      try {
        const text = await readFile(join(imageFolder, MANIFEST_FILE), 'utf8');
        const manifest = manifestSchema.parse(JSON.parse(text));
        const digest = imageDigest(manifest);
        const path = join(imageFolder, SIGNATURE_FILE);
        if (await signedAlready(path, manifest.name, digest, key)) return accept({ digest });
        const signature = signReference(manifest.name, digest, privateKey);
        // Renamed into place: a start that reads meanwhile finds no signature, or a whole one.
        const aside = `${path}.${randomUUID()}`;
        await writeFile(aside, `${JSON.stringify({ keyId: key.keyId, signature })}\n`);
        await rename(aside, path);
        return accept({ digest });
      } catch {
        return refuse(
          'IMAGE_UNREADABLE',
          `${imageFolder}: no usable ${MANIFEST_FILE}; build the image again`,
        );
      }
    },
  });
}
