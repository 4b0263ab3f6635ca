import { type KeyObject, X509Certificate } from 'node:crypto';
import type { Outcome } from '#identity/outcome.ts';
import { thumbprintOf } from '#identity/x509/verify.ts';
import type { RecordCode } from '../codes.ts';
import type { Leaf } from '../ledger/leaf.ts';
import { type ParsedRecord, parseRecord } from '../record/parse.ts';
import { isP256, verifyEs256Aside } from '../record/signature.ts';
import type { EvidencePart } from './format.ts';

type RecordLeaf = Extract<Leaf, { readonly jws: string }>;

/** Reads the records of a file once, and verifies their signatures on other threads beforehand. */
export interface Ahead {
  read(leaf: RecordLeaf): Outcome<ParsedRecord, RecordCode>;
  /** Whether a JWS is proven to be signed by the certificate that it names; nothing of that one. */
  isProven(jws: string): boolean;
  /** Begins with the records among these parts, in their order; resolves when they are known. */
  begin(parts: readonly EvidencePart[]): Promise<void>;
}

const MAX_KEYS = 16_384;

/**
 * Half of the time that verification takes goes into signatures. What is not proven here, for
 * whatever reason, is verified where it is judged: this can only save time.
 */
export function createAhead(): Ahead {
  /** Of the parts begun with last, and of those before them: these are judged in the meantime. */
  let proven = new Set<string>();
  let before = new Set<string>();
  const keys = new Map<string, KeyObject>();
  const parsed = new WeakMap<RecordLeaf, Outcome<ParsedRecord, RecordCode>>();
  /** Batches on their way: one signature for many records. */
  const open = new Set<string>();

  function read(leaf: RecordLeaf): Outcome<ParsedRecord, RecordCode> {
    const known = parsed.get(leaf) ?? parseRecord(leaf.jws);
    parsed.set(leaf, known);
    return known;
  }

  function learn([leaf]: readonly Uint8Array[]): void {
    if (leaf === undefined) return;
    try {
      const { publicKey } = new X509Certificate(leaf);
      if (!isP256(publicKey)) return;
      const oldest = keys.size >= MAX_KEYS ? keys.keys().next() : undefined;
      if (oldest?.done === false) keys.delete(oldest.value);
      keys.set(thumbprintOf(leaf), publicKey);
    } catch {
      // No certificate: it is named where its records are judged.
    }
  }

  async function prove(record: ParsedRecord, key: KeyObject): Promise<void> {
    const { jws, signingInput } = record.batch ?? record;
    if (before.has(jws)) proven.add(jws);
    if (proven.has(jws) || open.has(jws)) return;
    open.add(jws);
    const good = await verifyEs256Aside(key, signingInput, record.signature).catch(() => false);
    open.delete(jws);
    if (good) proven.add(jws);
  }

  return {
    read,
    isProven: (jws) => proven.has(jws) || before.has(jws),
    async begin(parts) {
      // What lives briefly is collected cheaply: held for longer, it is what memory grows by.
      before = proven;
      proven = new Set();
      const work: Promise<void>[] = [];
      for (const part of parts) {
        if (part.kind === 'chain') learn(part.chain);
        if (part.kind !== 'entry' || !('jws' in part.entry.leaf)) continue;
        const record = read(part.entry.leaf);
        const key = record.ok ? keys.get(record.value.thumbprint) : undefined;
        if (record.ok && key !== undefined) work.push(prove(record.value, key));
      }
      await Promise.all(work);
    },
  };
}
