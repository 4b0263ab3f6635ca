import { createHash } from 'node:crypto';
import { z } from 'zod';

/** The file that Node starts; every image has it. */
export const MAIN_FILE = 'main.mjs';
export const MANIFEST_FILE = 'manifest.json';
export const SIGNATURE_FILE = 'signature.json';

/** One plain file name: a manifest never leads out of its own folder. */
const fileName = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,100}$/);

export const manifestSchema = z.strictObject({
  name: z.string().regex(/^[a-z0-9](?:[a-z0-9_-]{0,62}[a-z0-9])?$/),
  version: z.string().min(1).max(64),
  files: z
    .array(z.strictObject({ path: fileName, sha256: z.string().regex(/^[0-9a-f]{64}$/) }))
    .min(1)
    .max(16)
    .refine((files) => files.some((file) => file.path === MAIN_FILE))
    .refine((files) => new Set(files.map((file) => file.path)).size === files.length),
});

/** An image: a name, a version, and its files with SHA-256 in hex. */
export type Manifest = z.output<typeof manifestSchema>;

export const signatureSchema = z.strictObject({
  keyId: z.string().min(1).max(128),
  /** ECDSA P-256 over the image signing input, base64. */
  signature: z.string().max(256),
});

export function sha256Hex(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** The one spelling of a manifest that is digested: fixed member order, files by path, no spaces. */
export function manifestBytes(manifest: Manifest): Uint8Array {
  const files = manifest.files
    .map(({ path, sha256 }) => ({ path, sha256 }))
    .sort((a, b) => (a.path < b.path ? -1 : 1));
  const { name, version } = manifest;
  return Buffer.from(JSON.stringify({ name, version, files }), 'utf8');
}

/** `sha256:` and 64 hex digits: the name of exactly these files. */
export function imageDigest(manifest: Manifest): string {
  return `sha256:${sha256Hex(manifestBytes(manifest))}`;
}
