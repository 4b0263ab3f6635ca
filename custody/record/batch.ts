import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import { decodeBase64Url, encodeBase64Url, is256Bits } from '../base64url.ts';
import type { RecordCode } from '../codes.ts';
import { HASH_BYTES, leafHash, sameHash } from '../log/hash.ts';
import { rootFromInclusion } from '../log/proof.ts';

/** More messages than this go under two signatures; a path then has at most ten hashes. */
export const MAX_BATCH = 1024;
const MAX_PATH = 10;

/** Where a record stands in the batch that was signed instead of it. */
export interface BatchPlace {
  /** `header.claims` of the batch's JWS, what the signature covers. */
  readonly signingInput: string;
  /** The whole JWS of the batch. */
  readonly jws: string;
  /** Of the Merkle tree (RFC 6962 2.1) whose leaves are the signing inputs of the records. */
  readonly root: Uint8Array;
  readonly size: number;
  readonly index: number;
  readonly path: readonly Uint8Array[];
}

const CLAIMS = /^\{"root":"([\w-]{43})","size":([1-9][0-9]{0,3})\}$/;
const INDEX = /^(?:0|[1-9][0-9]{0,3})$/;

/** The claims of a batch: canonical JSON, one spelling. */
export function batchClaims(root: Uint8Array, size: number): string {
  return `{"root":"${encodeBase64Url(root)}","size":${size}}`;
}

/** `claims~index~path~batch`: a record whose signature is its batch's. Parts in base64url. */
export function formatBatched(
  claims: string,
  { index, path, jws }: Pick<BatchPlace, 'index' | 'path' | 'jws'>,
): string {
  return `${claims}~${index}~${encodeBase64Url(Buffer.concat(path))}~${jws}`;
}

/** Reads what surrounds the claims of a record: its place, and the claims of its batch. */
export function parsePlace(
  given: { readonly index: string; readonly path: string; readonly claims: Uint8Array },
  batch: Pick<BatchPlace, 'signingInput' | 'jws'>,
): Outcome<BatchPlace, RecordCode> {
  const bytes = decodeBase64Url(given.path);
  if (!INDEX.test(given.index) || bytes === undefined || bytes.length % HASH_BYTES !== 0) {
    return refuse('RECORD_FORM_INVALID', 'the place in a batch is a number and a path of hashes');
  }
  if (bytes.length > MAX_PATH * HASH_BYTES) {
    return refuse('RECORD_TOO_LARGE', `a batch has at most ${MAX_BATCH} records`);
  }
  const [, root = '', sizeText = ''] =
    CLAIMS.exec(Buffer.from(given.claims).toString('latin1')) ?? [];
  const rootBytes = is256Bits(root) ? decodeBase64Url(root) : undefined;
  const size = Number(sizeText);
  if (rootBytes === undefined || size > MAX_BATCH) {
    return refuse('RECORD_CLAIM_INVALID', 'the claims of a batch are its root and size');
  }
  const path = Array.from({ length: bytes.length / HASH_BYTES }, (_, at) =>
    bytes.subarray(at * HASH_BYTES, (at + 1) * HASH_BYTES),
  );
  return accept({ ...batch, root: rootBytes, size, index: Number(given.index), path });
}

/** True when the batch's root is made of this record, at this place. */
export function isInBatch(signingInput: string, place: BatchPlace): boolean {
  const root = rootFromInclusion({ ...place, leaf: leafHash(signingInput) });
  return root !== undefined && sameHash(root, place.root);
}

/** JWS of batches that have verified, with the certificate that each names. */
export interface BatchCache {
  has(jws: string): boolean;
  /** Only after the signature has verified with a key of the profile. */
  add(jws: string): void;
}

/**
 * One signature check for all records of a batch. That a JWS verifies stays true, whatever becomes
 * of the certificate; validity, revocation and freshness are judged for every record.
 */
export function createBatchCache(max = 256): BatchCache {
  const known = new Set<string>();
  return {
    has: (jws) => known.has(jws),
    add(jws) {
      if (known.has(jws)) return;
      const oldest = known.size >= max ? known.keys().next() : undefined;
      if (oldest?.done === false) known.delete(oldest.value);
      known.add(jws);
    },
  };
}
