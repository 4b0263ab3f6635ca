import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { Plugin } from 'esbuild';

/** A native file that an image carries beside its bundle. */
export interface NativeFile {
  readonly name: string;
  readonly source: string;
}

/** Node's report knows the C library; musl's Node names no glibc. */
function usesMusl(): boolean {
  if (process.platform !== 'linux') return false;
  const report = process.report.getReport() as { header?: { glibcVersionRuntime?: string } };
  return report.header?.glibcVersionRuntime === undefined;
}

function koffiFile(resolveFrom: NodeJS.Require): string {
  const target = `${process.platform}-${process.arch}`;
  const folder = dirname(resolveFrom.resolve(`@koromix/koffi-${target}/package.json`));
  const abi = `${usesMusl() ? 'musl' : process.platform}_${process.arch}`;
  return join(folder, abi, 'koffi.node');
}

function sqliteVecFile(resolveFrom: NodeJS.Require): string {
  const suffix = process.platform === 'darwin' ? 'dylib' : 'so';
  return resolveFrom.resolve(`sqlite-vec-${process.platform}-${process.arch}/vec0.${suffix}`);
}

/**
 * Lets a bundle load its native code from its own folder: the loaders of koffi and sqlite-vec look
 * for packages, and in the image store there are none. Each used native file is told to `found`.
 */
export function nativePackages(root: string, found: (file: NativeFile) => void): Plugin {
  const require = createRequire(join(root, 'package.json'));
  return {
    name: 'native-packages',
    setup(build) {
      build.onLoad({ filter: /[/\\]koffi[/\\]src[/\\]koffi[/\\]src[/\\]static\.js$/ }, () => {
        found({ name: 'koffi.node', source: koffiFile(require) });
        const contents = `import { createRequire } from 'node:module';
export function loadStatic() { return createRequire(import.meta.url)('./koffi.node'); }`;
        return { contents, loader: 'js' };
      });
      build.onLoad({ filter: /[/\\]sqlite-vec[/\\]index\.mjs$/ }, () => {
        found({ name: 'vec0.so', source: sqliteVecFile(require) });
        const contents = `import { fileURLToPath } from 'node:url';
export function getLoadablePath() { return fileURLToPath(new URL('./vec0.so', import.meta.url)); }
export function load(db) { db.loadExtension(getLoadablePath()); }`;
        return { contents, loader: 'js' };
      });
    },
  };
}
