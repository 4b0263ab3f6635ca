import { X509Certificate } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import type { SvidCode } from '#identity/codes.ts';
import type { BundleSet } from '#identity/svid.ts';

export const VECTOR_FOLDER = new URL('../vectors/', import.meta.url);

/** One file of `vectors/`: a chain, what it is judged by, and the one right answer. */
export interface Vector {
  /** File name without `.json`: `<expected>.<what is special>`. */
  readonly name: string;
  /** Clauses of the SPIFFE standards, or of RFC 5280. */
  readonly clause: string;
  readonly expected: 'OK' | SvidCode;
  /** What `openssl verify -x509_strict` must say; absent where it has no opinion of worth. */
  readonly openssl?: 'accepts' | 'rejects';
  readonly now: string;
  /** Base64 DER, leaf first. */
  readonly chain: readonly string[];
  /** Trust domain name -> base64 DER authorities. */
  readonly bundles: Readonly<Record<string, readonly string[]>>;
  /** Proven ID of an accepted chain. */
  readonly id?: string;
}

export function readVectors(): readonly Vector[] {
  return readdirSync(VECTOR_FOLDER)
    .filter((file) => file.endsWith('.json'))
    .sort()
    .map((file) => JSON.parse(readFileSync(new URL(file, VECTOR_FOLDER), 'utf8')) as Vector);
}

export function chainOf(vector: Vector): readonly Uint8Array[] {
  return vector.chain.map((text) => new Uint8Array(Buffer.from(text, 'base64')));
}

export function bundlesOf(vector: Vector): BundleSet {
  return new Map(
    Object.entries(vector.bundles).map(([trustDomain, ders]) => [
      trustDomain,
      {
        trustDomain,
        authorities: ders.map((text) => new X509Certificate(Buffer.from(text, 'base64'))),
      },
    ]),
  );
}
