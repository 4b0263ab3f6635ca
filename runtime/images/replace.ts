import { basename, join } from 'node:path';
import type { OnResolveArgs, Plugin } from 'esbuild';

/** Module → the module that is bundled in its place; both as paths from the root. */
export type Replacements = Readonly<Record<string, string>>;

const RESOLVED = Symbol('resolved by replaceModules');

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

/**
 * Bundles other modules in the place of some, whoever imports them. Only the replacement itself may
 * import what it stands for, so that it can add to it. Each module that is met is told to `met`.
 */
export function replaceModules(
  root: string,
  replace: Replacements,
  met: (module: string) => void,
): Plugin {
  const modules = new Map(
    Object.entries(replace).map(([module, by]) => [
      join(root, module),
      { module, by: join(root, by) },
    ]),
  );
  const names = [...modules.keys()].map((path) => escaped(basename(path)));
  return {
    name: 'replace-modules',
    setup(build) {
      if (names.length === 0) return;
      const filter = new RegExp(`(?:^|[/\\\\])(?:${names.join('|')})$`);
      build.onResolve({ filter }, async (args: OnResolveArgs) => {
        if (args.pluginData === RESOLVED || args.kind === 'entry-point') return undefined;
        const { importer, resolveDir, kind } = args;
        const found = await build.resolve(args.path, {
          importer,
          resolveDir,
          kind,
          pluginData: RESOLVED,
        });
        let path = found.path;
        // A replacement may have one itself; a module is passed once, so that no circle has no end.
        const left = new Map(modules);
        for (let next = left.get(path); next !== undefined && next.by !== importer; ) {
          met(next.module);
          left.delete(path);
          path = next.by;
          next = left.get(path);
        }
        return path === found.path ? undefined : { path };
      });
    },
  };
}
