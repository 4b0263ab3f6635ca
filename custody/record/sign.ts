import type { X509Source, X509Svid } from '#identity/svid.ts';
import { encodeBase64Url } from '../base64url.ts';
import { canonicalise } from '../canonical.ts';
import { payloadDigest, recordIdOf } from '../digest.ts';
import type { RecordClaims, RecordId, RecordKind, SignedRecord, ToolClaim } from '../record.ts';
import { audienceKey } from './audience.ts';
import { parseClaims, RECORD_LIFETIME_SECONDS } from './claims.ts';
import { headerText } from './parse.ts';
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

/** One signer per process: two with one session would equivocate. */
export function createRecordSigner(options: RecordSignerOptions): RecordSigner {
  const { source, clock, random } = options;
  const current = typeof source === 'function' ? source : () => source.svid();
  const session = options.session ?? encodeBase64Url(random(16));
  const counters = new Map<string, number>();
  let sequence = 0;
  let previous: RecordId | undefined;
  let issuer: string | undefined;

  function sign(draft: RecordDraft): SignedRecord {
    const svid = current();
    // A session is one sender's; the ledger reads seq and prv as that sender's history.
    if (issuer !== undefined && svid.id !== issuer) {
      throw new Error('record signer: the identity changed; start a new session');
    }
    const salt = random(16);
    const iat = Math.floor(clock() / 1000);
    const counter = audienceKey(draft.aud);
    const rsq = (counters.get(counter) ?? 0) + 1;
    const claims: RecordClaims = {
      iss: svid.id,
      aud: [...draft.aud],
      sbj: draft.sbj,
      ...(draft.rpl !== undefined && { rpl: draft.rpl }),
      knd: draft.knd,
      jti: encodeBase64Url(random(16)),
      iat,
      exp: iat + RECORD_LIFETIME_SECONDS,
      sid: session,
      seq: sequence + 1,
      ...(previous !== undefined && { prv: previous }),
      rsq,
      par: [...(draft.par ?? [])],
      pdg: payloadDigest(salt, draft.payload),
      ...(draft.txn !== undefined && { txn: draft.txn }),
      ...(draft.tth !== undefined && { tth: draft.tth }),
      ...(draft.tool !== undefined && { tool: draft.tool }),
    };
    // The receiver's own parser: what it would refuse is never signed.
    const checked = parseClaims(claims);
    if (!checked.ok) throw new Error(`record signer: ${checked.code}: ${checked.detail}`);
    const text = canonicalise(claims);
    if (text === undefined) throw new Error('record signer: the draft is outside the value set');
    const signingInput = `${base64Url(headerText(svid.thumbprint))}.${base64Url(text)}`;
    const signature = signEs256(svid.key, signingInput);
    const id = recordIdOf(signingInput);
    issuer = svid.id;
    sequence += 1;
    previous = id;
    counters.set(counter, rsq);
    return {
      id,
      jws: `${signingInput}.${encodeBase64Url(signature)}`,
      salt,
      claims,
      chain: svid.certificates,
    };
  }

  return { session, sign };
}

function base64Url(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64url');
}
