import { join } from 'node:path';
import { compareVersions, isExecutable } from './versions.mjs';

/** Oldest Node that runs the project's TypeScript sources as they are. */
export const OLDEST_NODE = '24.12.0';

/** @param {string} root the checkout @returns {string} where the `node` package puts its Node */
export function packagedNode(root) {
  return join(root, 'node_modules', 'node', 'bin', 'node');
}

/**
 * @param {string} root the checkout
 * @param {{ path: string, version: string }} self the Node that asks
 * @returns {string | undefined} path of a Node new enough: the pinned one first
 */
export function findNode(root, self) {
  const packaged = packagedNode(root);
  if (isExecutable(packaged)) return packaged;
  return compareVersions(self.version, OLDEST_NODE) >= 0 ? self.path : undefined;
}
