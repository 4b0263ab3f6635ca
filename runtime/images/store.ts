import { randomUUID } from 'node:crypto';
import { chmod, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type ImageReference, verifyImageSignature } from '#identity/issuer/attestation.ts';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import {
  imageDigest,
  MAIN_FILE,
  MANIFEST_FILE,
  type Manifest,
  manifestSchema,
  SIGNATURE_FILE,
  sha256Hex,
  signatureSchema,
} from './manifest.ts';
import type { CiPublicKey } from './sign.ts';

/** A copy of an image in the run's store: what is started, and what is attested. */
export interface StoredImage {
  /** Digest of the bytes that were copied; the signature as it was found, or empty. */
  readonly reference: ImageReference;
  /** The signature covers exactly these bytes and is CI's. The issuer checks it again. */
  readonly verified: boolean;
  /** `<store>/<digest in hex>/`, files 0444. */
  readonly folder: string;
  readonly main: string;
  readonly manifest: Manifest;
}

interface ReadImage {
  readonly manifest: Manifest;
  readonly contents: ReadonlyMap<string, Uint8Array>;
}

/**
 * Reads an image's files once. Their digests are computed from what was read, whatever the
 * manifest claims: the digest is the name of the bytes that will run.
 */
async function readImage(folder: string): Promise<ReadImage> {
  const claimed = manifestSchema.parse(
    JSON.parse(await readFile(join(folder, MANIFEST_FILE), 'utf8')),
  );
  const contents = new Map<string, Uint8Array>();
  for (const { path } of claimed.files) contents.set(path, await readFile(join(folder, path)));
  const files = [...contents].map(([path, bytes]) => ({ path, sha256: sha256Hex(bytes) }));
  return { manifest: { name: claimed.name, version: claimed.version, files }, contents };
}

async function readSignature(folder: string): Promise<{ keyId: string; signature: string }> {
  try {
    const text = await readFile(join(folder, SIGNATURE_FILE), 'utf8');
    return signatureSchema.parse(JSON.parse(text));
  } catch {
    return { keyId: '', signature: '' };
  }
}

async function copyInto(target: string, image: ReadImage): Promise<void> {
  const fresh = `${target}.${randomUUID()}`;
  await mkdir(fresh, { recursive: true });
  const files = new Map<string, string | Uint8Array>(image.contents);
  for (const [path, content] of files.set(MANIFEST_FILE, JSON.stringify(image.manifest))) {
    await writeFile(join(fresh, path), content);
    // Whatever the umask: processes with uids of their own read it, nobody writes it.
    await chmod(join(fresh, path), 0o444);
  }
  await chmod(fresh, 0o755);
  await rm(target, { recursive: true, force: true });
  await rename(fresh, target);
}

/** Digest of what lies in the store now; another than the reference's when somebody wrote there. */
export async function storedDigest(image: StoredImage): Promise<string> {
  try {
    return imageDigest((await readImage(image.folder)).manifest);
  } catch {
    return `sha256:${'0'.repeat(64)}`;
  }
}

/**
 * Takes an image into the store. It is read once: later changes of the source folder change
 * nothing that is started. An unsigned or changed image is taken in too, as unverified; it will
 * run and get no identity.
 */
export async function storeImage(
  source: string,
  store: string,
  ciKeys: readonly CiPublicKey[],
): Promise<Outcome<StoredImage, 'IMAGE_UNREADABLE'>> {
  let image: ReadImage;
  try {
    image = await readImage(source);
  } catch {
    return refuse(
      'IMAGE_UNREADABLE',
      `${source}: not an image (${MANIFEST_FILE} or a file it names is missing); build the images first`,
    );
  }
  const digest = imageDigest(image.manifest);
  const { keyId, signature } = await readSignature(source);
  const reference: ImageReference = { name: image.manifest.name, digest, signature, keyId };
  const key = ciKeys.find((candidate) => candidate.keyId === keyId);
  const verified = key !== undefined && verifyImageSignature(reference, key.publicKey);
  const folder = join(store, digest.slice('sha256:'.length));
  const stored = {
    reference,
    verified,
    folder,
    main: join(folder, MAIN_FILE),
    manifest: image.manifest,
  };
  try {
    // A copy of an earlier start is used only when it still is what its name says.
    if ((await storedDigest(stored)) !== digest) await copyInto(folder, image);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    return refuse('IMAGE_UNREADABLE', `${folder}: cannot write the image store (${code})`);
  }
  return accept(stored);
}
