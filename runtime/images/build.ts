import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { build, version as esbuildVersion } from 'esbuild';
import { z } from 'zod';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import {
  imageDigest,
  MAIN_FILE,
  MANIFEST_FILE,
  type Manifest,
  manifestSchema,
  sha256Hex,
} from './manifest.ts';
import { type NativeFile, nativePackages } from './natives.ts';
import { type Replacements, replaceModules } from './replace.ts';

/** One process entry to bundle. */
export interface ImageSource {
  readonly name: string;
  readonly version: string;
  /** Absolute path of the entry's source. */
  readonly entry: string;
  /** Folder below the cache in which the image's own lies; default: the cache itself. */
  readonly folder?: string;
  /** Modules to exchange; one that the entry never reaches is an error, not a wish. */
  readonly replace?: Replacements;
}

export interface BuiltImage {
  readonly name: string;
  readonly folder: string;
  readonly digest: string;
  /** Our own source files that the bundle was made of, as paths from the root, sorted. */
  readonly modules: readonly string[];
  /** False when the sources were unchanged and the image of an earlier build stands. */
  readonly built: boolean;
}

export interface ImageBuilder {
  build(source: ImageSource): Promise<Outcome<BuiltImage, 'IMAGE_BUILD_FAILED'>>;
}

const BUILD_FILE = 'build.json';
const NATIVE = ['koffi', 'sqlite-vec'] as const;

const buildRecord = z.strictObject({
  toolchain: z.string(),
  entry: z.string(),
  replace: z.record(z.string(), z.string()),
  /** Path relative to the root → SHA-256; native files and package.json among them. */
  inputs: z.record(z.string(), z.string()),
  modules: z.array(z.string()),
});

type Bundled = Pick<BuiltImage, 'digest' | 'modules'>;

/** One spelling, so that two can be compared. */
function spelled(replace: Replacements): string {
  return JSON.stringify(Object.entries(replace).sort(([a], [b]) => (a < b ? -1 : 1)));
}

// Dependencies in CommonJS call `require` for Node's own modules; an ES module has none.
const BANNER = `import { createRequire as __createRequire } from 'node:module';
const require = __createRequire(import.meta.url);`;

/** Two builds at once may both have made the image; the later one takes the place. */
async function replaceFolder(fresh: string, folder: string): Promise<void> {
  for (let tries = 3; ; tries--) {
    await rm(folder, { recursive: true, force: true });
    try {
      return await rename(fresh, folder);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (tries === 0 || (code !== 'ENOTEMPTY' && code !== 'EEXIST')) throw error;
    }
  }
}

/**
 * @param root the checkout; inputs are named relative to it, so the bundle holds no machine's path
 * @param cache where images live, one folder `<name>/` each
 */
export function createImageBuilder(root: string, cache: string): ImageBuilder {
  const toolchain = `esbuild ${esbuildVersion}, node ${process.version}, ${process.platform} ${process.arch}, ${sha256Hex(Buffer.from(BANNER + NATIVE.join()))}`;
  // Entries share most of their inputs: each is read once per builder.
  const digests = new Map<string, Promise<string | undefined>>();
  const digestOf = (path: string): Promise<string | undefined> => {
    const known = digests.get(path);
    if (known !== undefined) return known;
    const digest = readFile(join(root, path)).then(sha256Hex, () => undefined);
    digests.set(path, digest);
    return digest;
  };

  async function standing(source: ImageSource, folder: string): Promise<Bundled | undefined> {
    try {
      const record = buildRecord.parse(
        JSON.parse(await readFile(join(folder, BUILD_FILE), 'utf8')),
      );
      const manifest = manifestSchema.parse(
        JSON.parse(await readFile(join(folder, MANIFEST_FILE), 'utf8')),
      );
      if (record.toolchain !== toolchain || record.entry !== relative(root, source.entry)) return;
      if (spelled(record.replace) !== spelled(source.replace ?? {})) return;
      if (manifest.name !== source.name || manifest.version !== source.version) return;
      for (const [path, digest] of Object.entries(record.inputs)) {
        if ((await digestOf(path)) !== digest) return;
      }
      // A changed image is not repaired here either: it is built anew, from unchanged sources.
      for (const file of manifest.files) {
        if (sha256Hex(await readFile(join(folder, file.path))) !== file.sha256) return;
      }
      return { digest: imageDigest(manifest), modules: record.modules };
    } catch {
      return undefined;
    }
  }

  async function bundle(source: ImageSource, folder: string): Promise<Bundled> {
    const replace = source.replace ?? {};
    const unmet = new Set(Object.keys(replace));
    const natives: NativeFile[] = [];
    const result = await build({
      absWorkingDir: root,
      entryPoints: [source.entry],
      outfile: MAIN_FILE,
      bundle: true,
      write: false,
      metafile: true,
      platform: 'node',
      format: 'esm',
      target: 'node24',
      legalComments: 'none',
      logLevel: 'silent',
      banner: { js: BANNER },
      plugins: [
        nativePackages(root, (file) => natives.push(file)),
        replaceModules(root, replace, (module) => unmet.delete(module)),
      ],
    });
    for (const module of unmet) throw new Error(`it has no ${module} to replace`);
    const [output] = result.outputFiles;
    if (output === undefined) throw new Error('the bundler wrote nothing');
    const contents = new Map<string, Uint8Array>([[MAIN_FILE, output.contents]]);
    for (const native of natives) contents.set(native.name, await readFile(native.source));
    const files = [...contents].map(([path, bytes]) => ({ path, sha256: sha256Hex(bytes) }));
    const manifest: Manifest = { name: source.name, version: source.version, files };

    const paths = [
      ...Object.keys(result.metafile.inputs),
      ...natives.map((native) => relative(root, native.source)),
      'package.json',
    ];
    const inputs: Record<string, string> = {};
    for (const path of paths) {
      const digest = await digestOf(path);
      if (digest !== undefined) inputs[path] = digest;
    }
    // Written aside and renamed: whoever reads meanwhile sees the old image or the new one.
    const fresh = `${folder}.${randomUUID()}`;
    await mkdir(fresh, { recursive: true, mode: 0o755 });
    for (const [path, bytes] of contents)
      await writeFile(join(fresh, path), bytes, { mode: 0o644 });
    await writeFile(join(fresh, MANIFEST_FILE), `${JSON.stringify(manifest, undefined, 2)}\n`);
    const modules = Object.keys(result.metafile.outputs[MAIN_FILE]?.inputs ?? {})
      .filter((path) => !path.includes('node_modules/'))
      .sort();
    const entry = relative(root, source.entry);
    const record: z.input<typeof buildRecord> = { toolchain, entry, replace, inputs, modules };
    await writeFile(join(fresh, BUILD_FILE), JSON.stringify(record));
    await replaceFolder(fresh, folder);
    return { digest: imageDigest(manifest), modules };
  }

  return {
    build: async (source) => {
      const folder = join(cache, source.folder ?? '', source.name);
      const unchanged = await standing(source, folder);
      if (unchanged !== undefined) {
        return accept({ name: source.name, folder, ...unchanged, built: false });
      }
      try {
        return accept({
          name: source.name,
          folder,
          ...(await bundle(source, folder)),
          built: true,
        });
      } catch (error) {
        const text = error instanceof Error ? error.message.split('\n').slice(0, 2).join(' ') : '';
        return refuse(
          'IMAGE_BUILD_FAILED',
          `image ${source.name} (${basename(source.entry)}): ${text}`,
        );
      }
    },
  };
}
