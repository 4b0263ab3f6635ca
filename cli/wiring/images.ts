import { accessSync, constants } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Member } from '#bus/directory.ts';
import { type BuiltImage, createImageBuilder } from '#runtime/images/build.ts';
import type { Replacements } from '#runtime/images/replace.ts';
import {
  type CiPublicKey,
  createImageSigner,
  type ImageSigner,
  readCiPublicKey,
} from '#runtime/images/sign.ts';
import { type StoredImage, storeImage } from '#runtime/images/store.ts';
import type { Hardening } from '#runtime/launcher/flags.ts';
import { withLock } from '#runtime/tools/lock.mjs';
import { CHECKOUT, VERSION } from './checkout.ts';
import type { Exchange, Variant } from './variants.ts';

/**
 * One image per role: a digest stands for what a role runs and for nothing else. Sealed processes
 * read only the store; those with native code or a database of their own run plain.
 */
export const IMAGES: Readonly<Record<string, Hardening>> = {
  issuer: 'plain',
  gate: 'sealed',
  ledger: 'sealed',
  witness: 'sealed',
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

const BUILT: Variant = { folder: () => '', exchanges: [] };

/**
 * The project's own CI step: bundles every process entry and signs the manifest. `up` runs it only
 * to have images at hand; the swarm itself reads the public key alone.
 */
export async function buildImages(progress: (line: string) => void): Promise<void> {
  await imagesOf(BUILT, progress);
}

/**
 * The images of another wiring, built where they are not there yet; resolves with where each lies.
 * A role whose bundle has none of the exchanged modules runs the very image that it always runs.
 * @throws Error naming an exchanged module that no image has: its control would not be off.
 */
export async function imagesOf(
  variant: Variant,
  progress: (line: string) => void,
  names: readonly string[] = Object.keys(IMAGES),
): Promise<(name: string) => string> {
  const unmet = new Set(variant.exchanges.map(({ module }) => module));
  return locked(progress, async (builder) => {
    const folders = await Promise.all(
      names.map(async (name) => {
        const plain = await builder({ name });
        const exchanges = exchangesIn(plain.modules, variant);
        for (const { module } of exchanges) unmet.delete(module);
        if (exchanges.length === 0) return [name, plain.folder] as const;
        const folder = variant.folder(exchanges.map(({ id }) => id));
        const built = await builder({ name, folder, replace: replacements(exchanges) });
        return [name, built.folder] as const;
      }),
    );
    for (const module of unmet) throw new Error(`images: no image has ${module} to exchange`);
    const found = new Map(folders);
    return (name) => found.get(name) ?? join(IMAGE_CACHE, name);
  });
}

/**
 * One more image of a role, in `.swarmproof/images/<folder>/`, signed like every other: bundled from
 * another entry, or with a module of its own in the place of one of the role's, whatever the variant
 * has there. Such a module may import the one that it stands for. Resolves with the image's folder.
 */
export async function imageLike(
  name: string,
  options: {
    readonly folder: string;
    readonly variant?: Variant;
    /** Path from the checkout. */
    readonly entry?: string;
    readonly replace?: Replacements;
  },
  progress: (line: string) => void = () => {},
): Promise<string> {
  const { folder, entry } = options;
  return locked(progress, async (builder) => {
    const plain = await builder({ name });
    const replace: Record<string, string> = {
      ...replacements(exchangesIn(plain.modules, options.variant ?? BUILT)),
    };
    for (const [module, by] of Object.entries(options.replace ?? {})) {
      replace[replace[module] ?? module] = by;
    }
    return (await builder({ name, folder, replace, ...(entry !== undefined && { entry }) })).folder;
  });
}

function exchangesIn(modules: readonly string[], { exchanges }: Variant): readonly Exchange[] {
  return exchanges.filter(({ module }) => modules.includes(module));
}

function replacements(exchanges: readonly Exchange[]): Replacements {
  return Object.fromEntries(exchanges.map(({ module, by }) => [module, by]));
}

interface Wanted {
  readonly name: string;
  readonly folder?: string;
  readonly entry?: string;
  readonly replace?: Replacements;
}

/** Builds and signs while nobody else reads or writes images. */
async function locked<T>(
  progress: (line: string) => void,
  work: (build: (wanted: Wanted) => Promise<BuiltImage>) => Promise<T>,
): Promise<T> {
  const onWait = (holder: string) => progress(`images: waiting for ${holder}, which uses them`);
  // One for all: what images share is read once.
  const builder = createImageBuilder(CHECKOUT, IMAGE_CACHE);
  const build = async (
    signer: ImageSigner,
    { name, folder = '', entry, replace }: Wanted,
  ): Promise<BuiltImage> => {
    const built = await builder.build({
      name,
      folder,
      version: VERSION,
      entry: join(CHECKOUT, entry ?? join('cli', 'processes', `${name}.ts`)),
      ...(replace !== undefined && { replace }),
    });
    if (!built.ok) throw new Error(built.detail);
    const signed = await signer.sign(built.value.folder);
    if (!signed.ok) throw new Error(signed.detail);
    const { digest } = built.value;
    const what = join(folder, name);
    if (built.value.built) progress(`image ${what} built and signed, ${digest.slice(0, 19)}`);
    return built.value;
  };
  const inside = async (): Promise<T> => {
    const signer = await createImageSigner(CI_FOLDER);
    if (!signer.ok) throw new Error(signer.detail);
    return work((wanted) => build(signer.value, wanted));
  };
  return withLock(IMAGE_LOCK, inside, { onWait });
}

/** Where this process may write nothing, nobody of its kind builds: there is nothing to wait for. */
function undisturbed<T>(work: () => Promise<T>): Promise<T> {
  try {
    accessSync(dirname(IMAGE_LOCK), constants.W_OK);
  } catch {
    return work();
  }
  return withLock(IMAGE_LOCK, work);
}

export interface ImageStore {
  readonly ciKey: CiPublicKey;
  readonly images: ReadonlyMap<string, StoredImage>;
}

/** Takes every image into the run's store; changed or unsigned ones too, as unverified. */
export async function storeImages(
  store: string,
  folders: (name: string) => string = (name) => join(IMAGE_CACHE, name),
  names: readonly string[] = Object.keys(IMAGES),
): Promise<ImageStore> {
  return undisturbed(async () => {
    const ciKey = await readCiPublicKey(CI_FOLDER);
    if (!ciKey.ok) throw new Error(ciKey.detail);
    const images = new Map<string, StoredImage>();
    for (const name of names) {
      const stored = await storeImage(folders(name), store, [ciKey.value]);
      if (!stored.ok) throw new Error(stored.detail);
      images.set(name, stored.value);
    }
    return { ciKey: ciKey.value, images };
  });
}
