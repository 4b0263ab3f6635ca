import { createHash, createPrivateKey, type KeyObject } from 'node:crypto';
import { encodeBase64Url } from '#custody/base64url.ts';
import { type CanonicalValue, canonicalText } from '#custody/canonical.ts';
import { payloadDigest } from '#custody/digest.ts';
import { createMemoryHashStore, createMerkleTree } from '#custody/log/merkle.ts';
import { batchClaims, formatBatched } from '#custody/record/batch.ts';
import { headerText } from '#custody/record/parse.ts';
import { signEs256 } from '#custody/record/signature.ts';
import type { VectorKeys, VectorMessage } from './format.ts';

/** Fixed "random" bytes: SHA-256 of a name. */
export function fixed(name: string, size = 16): Buffer {
  return createHash('sha256').update(name).digest().subarray(0, size);
}

export interface Forgery {
  readonly by?: string;
  /** Whose key signs, when it is not the sender's. */
  readonly signWith?: string;
  /** Claims to set; `undefined` removes one. */
  readonly claims?: Readonly<Record<string, CanonicalValue | undefined>>;
  /** Rewrites the canonical text of the claims before it is signed. */
  readonly rewrite?: (claims: string) => string | Uint8Array;
  readonly header?: string | ((thumbprint: string) => string);
  /** Signed in a batch of that size, at that place. */
  readonly batch?: {
    readonly size: number;
    readonly index: number;
    /** Rewrites the claims of the batch before they are signed. */
    readonly rewrite?: (claims: string) => string;
  };
  /** Rewrites the finished JWS. */
  readonly after?: (jws: string) => string;
  /** Overrides of the message as it arrives. */
  readonly message?: Partial<VectorMessage>;
  /** `null` leaves the chain out. */
  readonly chain?: string | null;
  readonly salt?: string;
  readonly extraHeaders?: VectorMessage['headers'];
}

const PAYLOAD = '{"speed":41}';

/** The record with its place among others of one batch. */
function batched(
  input: string,
  { size, index, rewrite = (claims) => claims }: NonNullable<Forgery['batch']>,
  sign: (text: string) => string,
): string {
  const [header = '', claims = ''] = input.split('.');
  const tree = createMerkleTree(createMemoryHashStore());
  for (let at = 0; at < size; at++) tree.append(at === index ? input : `${header}.other${at}`);
  const batch = Buffer.from(rewrite(batchClaims(tree.root(), size))).toString('base64url');
  return formatBatched(claims, {
    index,
    path: tree.inclusion(index),
    jws: sign(`${header}.${batch}`),
  });
}

/** Makes messages out of the fixed keys; `signatures` collects what was signed. */
export function createSender(keys: VectorKeys) {
  const signatures: Record<string, string> = {};

  function signature(by: string, key: KeyObject, input: string): string {
    const name = createHash('sha256').update(`${by}.${input}`).digest('hex');
    const made =
      keys.signatures[name] ?? signatures[name] ?? encodeBase64Url(signEs256(key, input));
    signatures[name] = made;
    return made;
  }

  function claimsOf(iss: string, changes: Forgery['claims'] = {}) {
    const iat = Math.floor(keys.time / 1000);
    const claims: Record<string, CanonicalValue | undefined> = {
      iss,
      aud: ['spiffe://city.example/agent/analyzer/north/*'],
      sbj: 'north.reading.sensor-cam-1',
      knd: 'root',
      jti: encodeBase64Url(fixed('jti')),
      iat,
      exp: iat + 30,
      sid: encodeBase64Url(fixed('sid')),
      seq: 1,
      rsq: 1,
      par: [],
      pdg: payloadDigest(fixed('salt'), Buffer.from(PAYLOAD)),
      ...changes,
    };
    const kept = Object.entries(claims).filter(([, value]) => value !== undefined);
    return Object.fromEntries(kept) as Record<string, CanonicalValue>;
  }

  function message(forgery: Forgery = {}): VectorMessage {
    const by = forgery.by ?? 'sensor';
    const identity = keys.identities[by];
    if (identity === undefined) throw new Error(`no identity ${by}`);
    const leaf = Buffer.from(identity.chain[0] ?? '', 'base64');
    const thumbprint = createHash('sha256').update(leaf).digest('base64url');
    const claims = canonicalText(claimsOf(identity.id, forgery.claims));
    const type = forgery.batch ? 'custody-batch+jwt' : 'custody+jwt';
    const { header = (name: string) => headerText(name, type) } = forgery;
    const input = [
      typeof header === 'string' ? header : header(thumbprint),
      forgery.rewrite?.(claims) ?? claims,
    ]
      .map((part) => Buffer.from(part).toString('base64url'))
      .join('.');
    const signer = forgery.signWith ?? by;
    const key = createPrivateKey(keys.identities[signer]?.key ?? '');
    const signed = (text: string) => `${text}.${signature(signer, key, text)}`;
    const jws = forgery.batch ? batched(input, forgery.batch, signed) : signed(input);
    const chain = forgery.chain === undefined ? identity.chain.join(',') : forgery.chain;
    return {
      headers: [
        ['Custody', [forgery.after?.(jws) ?? jws]],
        ['Custody-Salt', [forgery.salt ?? encodeBase64Url(fixed('salt'))]],
        ...(chain === null ? [] : [['Custody-Chain', [chain]] as const]),
        ...(forgery.extraHeaders ?? []),
      ],
      subject: 'north.reading.sensor-cam-1',
      reply: null,
      payload: Buffer.from(PAYLOAD).toString('base64'),
      ...forgery.message,
    };
  }

  return { message, signatures };
}
