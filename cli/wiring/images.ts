import { join } from 'node:path';
import type { Member } from '#bus/directory.ts';
import { createImageBuilder } from '#runtime/images/build.ts';
import { type CiPublicKey, createImageSigner, readCiPublicKey } from '#runtime/images/sign.ts';
import { type StoredImage, storeImage } from '#runtime/images/store.ts';
import type { Hardening } from '#runtime/launcher/flags.ts';
import { withLock } from '#runtime/tools/lock.mjs';
import { CHECKOUT, VERSION } from './checkout.ts';

/**
 * One image per role: a digest stands for what a role runs and for nothing else. Sealed processes
 * read only the store; those with native code or a database of their own run plain.
 */
export const IMAGES: Readonly<Record<string, Hardening>> = {
  issuer: 'plain',
  gate: 'sealed',
  ledger: 'sealed',
  sensor: 'sealed',
  analyzer: 'sealed',
  action: 'sealed',
  llm: 'sealed',
  vector: 'plain',
  mcp: 'sealed',
  'city-works': 'plain',
};

export const IMAGE_CACHE = join(CHECKOUT, '.swarmproof', 'images');
/** The key pair of the build step, apart from what it signs: nothing of a run reads this folder. */
const CI_FOLDER = join(CHECKOUT, '.swarmproof', 'ci');
/** Held while images are built and while they are read: nobody meets one that is not signed yet. */
const IMAGE_LOCK = join(CHECKOUT, '.swarmproof', 'images.lock');

/** Which image a member's process runs. */
export function imageOf(member: Member): string {
  return member.kind === 'platform' && member.name.startsWith('gate-') ? 'gate' : member.role;
}

/**
 * The project's own CI step: bundles every process entry and signs the manifest. `up` runs it only
 * to have images at hand; the swarm itself reads the public key alone.
 */
export async function buildImages(progress: (line: string) => void): Promise<void> {
  const onWait = (holder: string) => progress(`images: waiting for ${holder}, which uses them`);
  await withLock(IMAGE_LOCK, () => buildAll(progress), { onWait });
}

async function buildAll(progress: (line: string) => void): Promise<void> {
  const signer = await createImageSigner(CI_FOLDER);
  if (!signer.ok) throw new Error(signer.detail);
  const builder = createImageBuilder(CHECKOUT, IMAGE_CACHE);
  for (const name of Object.keys(IMAGES)) {
    const entry = join(CHECKOUT, 'cli', 'processes', `${name}.ts`);
    const built = await builder.build({ name, version: VERSION, entry });
    if (!built.ok) throw new Error(built.detail);
    const signed = await signer.value.sign(built.value.folder);
    if (!signed.ok) throw new Error(signed.detail);
    if (built.value.built)
      progress(`image ${name} built and signed, ${built.value.digest.slice(0, 19)}`);
  }
}

export interface ImageStore {
  readonly ciKey: CiPublicKey;
  readonly images: ReadonlyMap<string, StoredImage>;
}

/** Takes every image into the run's store; changed or unsigned ones too, as unverified. */
export async function storeImages(
  store: string,
  folders: (name: string) => string = (name) => join(IMAGE_CACHE, name),
): Promise<ImageStore> {
  return withLock(IMAGE_LOCK, async () => {
    const ciKey = await readCiPublicKey(CI_FOLDER);
    if (!ciKey.ok) throw new Error(ciKey.detail);
    const images = new Map<string, StoredImage>();
    for (const name of Object.keys(IMAGES)) {
      const stored = await storeImage(folders(name), store, [ciKey.value]);
      if (!stored.ok) throw new Error(stored.detail);
      images.set(name, stored.value);
    }
    return { ciKey: ciKey.value, images };
  });
}
