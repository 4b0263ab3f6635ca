import type { X509Source, X509Svid } from '#identity/svid.ts';
import { encodeBase64Url } from '../base64url.ts';
import { payloadDigest, recordIdOf } from '../digest.ts';
import { createMemoryHashStore, createMerkleTree } from '../log/merkle.ts';
import type { RecordClaims, RecordId, RecordKind, SignedRecord, ToolClaim } from '../record.ts';
import { audienceKey } from './audience.ts';
import { batchClaims, formatBatched, MAX_BATCH } from './batch.ts';
import { parseClaims, RECORD_LIFETIME_SECONDS } from './claims.ts';
import { type HeaderType, headerText } from './parse.ts';
import { signEs256 } from './signature.ts';

/** Who gets it, where it goes, what it is, and what caused it; the signer fills in the rest. */
export interface RecordDraft {
  readonly aud: readonly string[];
  readonly sbj: string;
  readonly rpl?: string;
  readonly knd: RecordKind;
  readonly par?: readonly RecordId[];
  /** The bytes that travel; hashed, not copied. */
  readonly payload: Uint8Array;
  readonly tool?: ToolClaim;
  readonly txn?: string;
  readonly tth?: string;
}

export interface RecordSigner {
  /** Process session, 128 random bits, the same for the signer's life. */
  readonly session: string;
  /**
   * Signs one record with the current SVID. Sign in the order of sending: `seq` and `rsq` count.
   * @throws Error when there is no SVID, its identity changed, or the draft breaks the profile.
   */
  sign(draft: RecordDraft): SignedRecord;
  /**
   * Signs up to 1,024 records at once, in the order of sending, with one signature: for senders of
   * many messages. Each record stands by itself, under the verdicts of a single one.
   */
  signBatch(drafts: readonly RecordDraft[]): readonly SignedRecord[];
}

export interface RecordSignerOptions {
  readonly source: X509Source | (() => X509Svid);
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** That many random bytes. */
  readonly random: (size: number) => Uint8Array;
  /** For fixed vectors only; else drawn from `random`. */
  readonly session?: string;
}

/** Of a salt, and of a `jti`. */
const RANDOM_BYTES = 16;

/** One signer per process: two with one session would equivocate. */
export function createRecordSigner(options: RecordSignerOptions): RecordSigner {
  const { source, clock, random } = options;
  const current = typeof source === 'function' ? source : () => source.svid();
  const session = options.session ?? encodeBase64Url(random(16));
  const counters = new Map<string, number>();
  let sequence = 0;
  let previous: RecordId | undefined;
  let issuer: string | undefined;

  function currentSvid(): X509Svid {
    const svid = current();
    // A session is one sender's; the ledger reads seq and prv as that sender's history.
    if (issuer !== undefined && svid.id !== issuer) {
      throw new Error('record signer: the identity changed; start a new session');
    }
    return svid;
  }

  /** Counts on from the signer's state in a copy: a draft that is refused uses up no number. */
  function startCount() {
    const counted = { sequence, previous, own: new Map<string, number>() };
    return {
      next(audience: string) {
        counted.sequence += 1;
        const rsq = (counted.own.get(audience) ?? counters.get(audience) ?? 0) + 1;
        counted.own.set(audience, rsq);
        return { seq: counted.sequence, prv: counted.previous, rsq };
      },
      made(id: RecordId) {
        counted.previous = id;
      },
      commit(iss: string) {
        issuer = iss;
        ({ sequence, previous } = counted);
        for (const [audience, rsq] of counted.own) counters.set(audience, rsq);
      },
    };
  }
  type Count = ReturnType<typeof startCount>;

  /** Composes records in the order of sending: `count` goes on with each. */
  function composer(svid: X509Svid, type: HeaderType, count: Count, size: number) {
    const header = base64Url(headerText(svid.thumbprint, type));
    const iat = Math.floor(clock() / 1000);
    // Drawn at once: to ask costs more than the bytes.
    const drawn = random(2 * RANDOM_BYTES * size);
    let used = 0;
    const draw = () => {
      used += RANDOM_BYTES;
      return drawn.subarray(used - RANDOM_BYTES, used);
    };
    return (draft: RecordDraft) => {
      const salt = draw();
      const { tool } = draft;
      const { seq, prv, rsq } = count.next(audienceKey(draft.aud));
      // In the order of RFC 8785: `JSON.stringify` then writes what `parseClaims` takes canonically.
      const claims: RecordClaims = {
        aud: [...draft.aud],
        exp: iat + RECORD_LIFETIME_SECONDS,
        iat,
        iss: svid.id,
        jti: encodeBase64Url(draw()),
        knd: draft.knd,
        par: [...(draft.par ?? [])],
        pdg: payloadDigest(salt, draft.payload),
        ...(prv !== undefined && { prv }),
        ...(draft.rpl !== undefined && { rpl: draft.rpl }),
        rsq,
        sbj: draft.sbj,
        seq,
        sid: session,
        ...(tool !== undefined && { tool: inOrder(tool) }),
        ...(draft.tth !== undefined && { tth: draft.tth }),
        ...(draft.txn !== undefined && { txn: draft.txn }),
      };
      // The receiver's own parser: what it would refuse is never signed.
      const checked = parseClaims(claims);
      if (!checked.ok) throw new Error(`record signer: ${checked.code}: ${checked.detail}`);
      const claimText = base64Url(JSON.stringify(claims));
      const signingInput = `${header}.${claimText}`;
      const id = recordIdOf(signingInput);
      count.made(id);
      return { id, claims, claimText, signingInput, salt, chain: svid.certificates };
    };
  }

  function sign(draft: RecordDraft): SignedRecord {
    const svid = currentSvid();
    const count = startCount();
    const compose = composer(svid, 'custody+jwt', count, 1);
    const { id, claims, signingInput, salt, chain } = compose(draft);
    const signature = signEs256(svid.key, signingInput);
    count.commit(svid.id);
    return { id, jws: `${signingInput}.${encodeBase64Url(signature)}`, salt, claims, chain };
  }

  function signBatch(drafts: readonly RecordDraft[]): readonly SignedRecord[] {
    if (drafts.length === 0) return [];
    if (drafts.length > MAX_BATCH) throw new Error(`record signer: at most ${MAX_BATCH} at once`);
    const svid = currentSvid();
    const count = startCount();
    const made = drafts.map(composer(svid, 'custody-batch+jwt', count, drafts.length));
    const tree = createMerkleTree(createMemoryHashStore());
    for (const { signingInput } of made) tree.append(signingInput);
    const header = base64Url(headerText(svid.thumbprint, 'custody-batch+jwt'));
    const input = `${header}.${base64Url(batchClaims(tree.root(), made.length))}`;
    const batch = `${input}.${encodeBase64Url(signEs256(svid.key, input))}`;
    count.commit(svid.id);
    return made.map(({ id, claims, claimText, salt, chain }, index) => {
      const path = tree.inclusion(index);
      return {
        id,
        jws: formatBatched(claimText, { index, path, jws: batch }),
        salt,
        claims,
        chain,
      };
    });
  }

  return { session, sign, signBatch };
}

function inOrder({ kind, model, rid, signed }: ToolClaim): ToolClaim {
  return { kind, model, rid, signed };
}

function base64Url(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64url');
}
