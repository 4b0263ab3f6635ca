import { watch } from 'node:fs';
import { join } from 'node:path';
import { loadBundle, type PolicyBundle } from '#policy/bundle.ts';
import { messageOf } from './process.ts';

const SETTLE_MS = 200;

/**
 * Follows the compiled bundle while a swarm runs. What does not load changes nothing: the old
 * rules stay, and `failed` says why. Returns the function that stops it.
 */
export function watchPolicy(
  folder: string,
  current: PolicyBundle,
  on: { readonly changed: (bundle: PolicyBundle) => void; readonly failed: (why: string) => void },
): () => void {
  let known = current.manifest.bundle;
  let timer: NodeJS.Timeout | undefined;
  const look = (): void => {
    try {
      // Without opa: a source that is being edited is not compiled behind its author's back.
      const bundle = loadBundle(folder, undefined);
      if (bundle.manifest.bundle === known) return;
      known = bundle.manifest.bundle;
      on.changed(bundle);
    } catch (error) {
      on.failed(messageOf(error));
    }
  };
  // The compiler replaces two files one after the other; both are there a moment later.
  const watcher = watch(join(folder), (_event, name) => {
    if (name !== 'bundle.json' && name !== 'bundle.tar.gz') return;
    clearTimeout(timer);
    timer = setTimeout(look, SETTLE_MS);
  });
  watcher.on('error', () => {});
  watcher.unref();
  return () => {
    clearTimeout(timer);
    watcher.close();
  };
}
