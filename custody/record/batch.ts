import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import { decodeBase64Url, encodeBase64Url, is256Bits } from '../base64url.ts';
import type { RecordCode } from '../codes.ts';
import { HASH_BYTES, leafHash } from '../log/hash.ts';
import { createInclusionRun, type InclusionRun } from '../log/inclusion-run.ts';
import { verifyInclusion } from '../log/proof.ts';

/** More messages than this go under two signatures; a path then has at most ten hashes. */
export const MAX_BATCH = 1024;
const MAX_PATH = 10;

/** What was signed instead of the records that it holds. */
export interface Batch {
  /** `header.claims` of the batch's JWS, what the signature covers. */
  readonly signingInput: string;
  /** The whole JWS of the batch. */
  readonly jws: string;
  /** Of the Merkle tree (RFC 6962 2.1) whose leaves are the signing inputs of the records. */
  readonly root: Uint8Array;
  readonly size: number;
}

/** Where a record stands in its batch. */
export interface BatchPlace extends Batch {
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

/** Reads where a record says that it stands in its batch. */
export function parsePlace(
  index: string,
  text: string,
): Outcome<Pick<BatchPlace, 'index' | 'path'>, RecordCode> {
  const bytes = decodeBase64Url(text);
  if (!INDEX.test(index) || bytes === undefined || bytes.length % HASH_BYTES !== 0) {
    return refuse('RECORD_FORM_INVALID', 'the place in a batch is a number and a path of hashes');
  }
  if (bytes.length > MAX_PATH * HASH_BYTES) {
    return refuse('RECORD_TOO_LARGE', `a batch has at most ${MAX_BATCH} records`);
  }
  const path: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += HASH_BYTES)
    path.push(bytes.subarray(at, at + HASH_BYTES));
  return accept({ index: Number(index), path });
}

/** Reads the claims of a batch's JWS. */
export function parseBatchClaims(
  claims: Uint8Array,
): Outcome<Pick<Batch, 'root' | 'size'>, RecordCode> {
  const [, text = '', sizeText = ''] = CLAIMS.exec(Buffer.from(claims).toString('latin1')) ?? [];
  const root = is256Bits(text) ? decodeBase64Url(text) : undefined;
  const size = Number(sizeText);
  if (root === undefined || size > MAX_BATCH) {
    return refuse('RECORD_CLAIM_INVALID', 'the claims of a batch are its root and size');
  }
  return accept({ root, size });
}

/** True when the batch's root is made of this record, at this place. */
export function isInBatch(
  signingInput: string,
  place: BatchPlace,
  inclusion: InclusionRun = { verify: verifyInclusion },
): boolean {
  return inclusion.verify({ ...place, leaf: leafHash(signingInput) }, place.root);
}

/** A batch with what its JWS says of its signature. */
export interface SignedBatch {
  readonly batch: Batch;
  /** `x5t#S256` of its header: whose key it was. */
  readonly thumbprint: string;
  readonly signature: Uint8Array;
}

/** JWS whose signature has verified with the key of the certificate that each names. */
export interface BatchCache {
  has(jws: string): boolean;
  /** The batch of that JWS, with what the records before have proven of its tree. */
  find(jws: string): (SignedBatch & { readonly inclusion: InclusionRun }) | undefined;
  /** Only after the signature has signed with a key of the profile. */
  add(jws: string, signed?: SignedBatch): void;
}

/**
 * One signature check for all records of a batch. That a JWS verifies stays true, whatever becomes
 * of the certificate; validity, revocation and freshness are judged for every record.
 */
export function createBatchCache(max = 256): BatchCache {
  const known = new Map<string, ReturnType<BatchCache['find']>>();
  return {
    has: (jws) => known.has(jws),
    find: (jws) => known.get(jws),
    add(jws, signed) {
      if (known.has(jws)) return;
      const oldest = known.size >= max ? known.keys().next() : undefined;
      if (oldest?.done === false) known.delete(oldest.value);
      known.set(jws, signed && { ...signed, inclusion: createInclusionRun() });
    },
  };
}
