import { X509Certificate } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import type { BundleCode, JwtCode, SvidCode } from '#identity/codes.ts';
import type { SpiffeIdCode } from '#identity/spiffe-id.ts';
import type { BundleSet } from '#identity/svid.ts';

export const VECTOR_FOLDER = new URL('../../vectors/spiffe/', import.meta.url);
export const X509_FOLDER = new URL('x509-svid/', VECTOR_FOLDER);

/** One file of `x509-svid/`: a chain, what it is judged by, and the one right answer. */
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
  return readdirSync(X509_FOLDER)
    .filter((file) => file.endsWith('.json'))
    .sort()
    .map((file) => JSON.parse(readFileSync(new URL(file, X509_FOLDER), 'utf8')) as Vector);
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

/** A file of `test/vectors/spiffe/` with one vector a line. */
export function readList<Vector, Head = object>(
  file: string,
): Head & { vectors: readonly Vector[] } {
  return JSON.parse(readFileSync(new URL(file, VECTOR_FOLDER), 'utf8'));
}

export interface IdVector {
  readonly name: string;
  readonly clause: string;
  readonly expected: 'OK' | SpiffeIdCode;
  readonly hex: string;
  readonly trustDomain?: string;
  readonly path?: string;
}

export interface JwtVector {
  readonly name: string;
  readonly clause: string;
  readonly expected: 'OK' | JwtCode;
  readonly token: string;
  readonly audience?: string;
}

export interface JwtVectorHead {
  readonly now: string;
  readonly leeway: number;
  readonly audience: string;
  /** Trust domain → its bundle document. */
  readonly bundles: Readonly<
    Record<string, { readonly keys: readonly Readonly<Record<string, string>>[] }>
  >;
}

export interface BundleVector {
  readonly name: string;
  readonly clause: string;
  readonly expected: 'OK' | BundleCode;
  readonly kind: 'bundle' | 'map';
  readonly document: string;
  readonly taken?: Readonly<
    Record<string, { readonly x509: number; readonly jwt: readonly string[] }>
  >;
}
