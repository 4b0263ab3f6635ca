import {
  createHash,
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
} from 'node:crypto';
import type { JwtBundle } from '../jwt/bundle.ts';
import { accept, type Outcome, refuse } from '../outcome.ts';
import { AUTHORITY_TTL_SECONDS } from './authority.ts';
import type { IssuerCode } from './codes.ts';
import { openJournal, type Slot } from './journal.ts';
import type { Sealer } from './sealing.ts';
import type { AuthorityStore } from './store-authorities.ts';

/** A key that signs JWT-SVIDs: P-256, since the standard has no EdDSA (J-03). */
export interface JwtAuthority {
  /** RFC 7638 thumbprint of the public key: the same as long as the key is, over any restart. */
  readonly kid: string;
  readonly key: KeyObject;
  readonly publicKey: KeyObject;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

/** The JWT authorities of the trust domain, as the journal has them. */
export interface JwtAuthorities {
  /** The one that signs. */
  active(): JwtAuthority;
  /** Active first; with the prepared one, and the old ones whose tokens may be alive. */
  published(): readonly JwtAuthority[];
  bundle(): JwtBundle;
  /** Prepares, activates and prunes by age. @returns whether anything changed */
  advance(): Promise<boolean>;
}

export interface JwtAuthoritiesOptions {
  readonly store: Pick<AuthorityStore, 'jwtAuthorities' | 'writeJwtAuthorities'>;
  readonly sealer: Sealer;
  readonly trustDomain: string;
  readonly clock: () => Date;
}

/** RFC 7638, section 3: SHA-256 over the required members in lexical order. */
function thumbprint(publicKey: KeyObject): string {
  const { crv, kty, x, y } = publicKey.export({ format: 'jwk' });
  return createHash('sha256').update(JSON.stringify({ crv, kty, x, y })).digest('base64url');
}

function authorityOf(key: KeyObject, notBefore: Date, notAfter: Date): JwtAuthority {
  const publicKey = createPublicKey(key);
  return { kid: thumbprint(publicKey), key, publicKey, notBefore, notAfter };
}

/** Reads the journal, and makes the first authority where there is none. */
export async function openJwtAuthorities(
  options: JwtAuthoritiesOptions,
): Promise<Outcome<JwtAuthorities, IssuerCode>> {
  const { store, sealer, trustDomain, clock } = options;
  const slots: Slot<JwtAuthority>[] = [];
  for (const { id, state, sealedKey, notBefore, notAfter } of store.jwtAuthorities()) {
    const pkcs8 = sealer.open(sealedKey, id);
    if (pkcs8 === undefined) {
      return refuse('STATE_UNREADABLE', `the key of JWT authority ${id} does not open`);
    }
    const key = createPrivateKey({ key: Buffer.from(pkcs8), format: 'der', type: 'pkcs8' });
    const times = [new Date(notBefore * 1000), new Date(notAfter * 1000)] as const;
    slots.push({ state, authority: authorityOf(key, ...times) });
  }
  const seconds = (date: Date): number => Math.floor(date.getTime() / 1000);
  const journal = await openJournal({
    slots,
    clock,
    create: async (now) => {
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      // Whole seconds, so that it is the same authority after it was stored.
      const start = new Date(seconds(now) * 1000);
      const end = new Date(start.getTime() + AUTHORITY_TTL_SECONDS * 1000);
      return authorityOf(privateKey, start, end);
    },
    save: (next) =>
      store.writeJwtAuthorities(
        next.map(({ state, authority: { kid, key, notBefore, notAfter } }) => {
          const pkcs8 = key.export({ type: 'pkcs8', format: 'der' });
          return {
            id: kid,
            state,
            notBefore: seconds(notBefore),
            notAfter: seconds(notAfter),
            sealedKey: sealer.seal(pkcs8, kid),
          };
        }),
      ),
  });
  return accept({
    active: journal.active,
    published: journal.published,
    bundle: () => ({
      trustDomain,
      keys: new Map(journal.published().map(({ kid, publicKey }) => [kid, publicKey])),
    }),
    advance: journal.advance,
  });
}
