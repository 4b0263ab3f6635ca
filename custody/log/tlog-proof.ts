import { encodeBase64 } from '../base64url.ts';

/** That an entry is in a log, for verifiers that know nothing of custody records. */
export interface TlogProof {
  /** What the leaf is hashed from. Unproven until its hash leads to the root. */
  readonly leaf: Uint8Array;
  readonly index: number;
  /** RFC 6962 2.1.1, from the leaf's sibling on. */
  readonly path: readonly Uint8Array[];
  /** A signed note. */
  readonly checkpoint: string;
}

/**
 * The text of c2sp.org/tlog-proof. Its extra data is the leaf: with it the hash is made again, which
 * the format leaves to whoever has the entry.
 */
export function formatTlogProof({ leaf, index, path, checkpoint }: TlogProof): string {
  const hashes = path.map((hash) => `${encodeBase64(hash)}\n`).join('');
  return `c2sp.org/tlog-proof@v1\nextra ${encodeBase64(leaf)}\nindex ${index}\n${hashes}\n${checkpoint}`;
}
