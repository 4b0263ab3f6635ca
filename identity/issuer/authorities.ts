import { accept, type Outcome, refuse } from '../outcome.ts';
import {
  AUTHORITY_TTL_SECONDS,
  type Authority,
  createAuthority,
  loadAuthority,
} from './authority.ts';
import type { IssuerCode } from './codes.ts';
import { openJournal, type Slot } from './journal.ts';
import type { Sealer } from './sealing.ts';
import type { AuthorityStore } from './store-authorities.ts';

/** The X.509 authorities of the trust domain, as the journal has them. */
export interface Authorities {
  /** The one that signs. */
  active(): Authority;
  /** DER, active first; all whose leaves may be alive, and the prepared one before it signs. */
  bundle(): readonly Uint8Array[];
  /** Prepares, activates and prunes by age. @returns whether anything changed */
  advance(): Promise<boolean>;
}

export interface AuthoritiesOptions {
  readonly store: Pick<AuthorityStore, 'authorities' | 'writeAuthorities'>;
  readonly sealer: Sealer;
  readonly trustDomain: string;
  readonly clock: () => Date;
  readonly random: (size: number) => Uint8Array;
}

/** Reads the journal, and makes the first authority where there is none. */
export async function openAuthorities(
  options: AuthoritiesOptions,
): Promise<Outcome<Authorities, IssuerCode>> {
  const { store, sealer, trustDomain, clock, random } = options;
  const slots: Slot<Authority>[] = [];
  for (const row of store.authorities()) {
    const key = sealer.open(row.sealedKey, row.id);
    if (key === undefined) {
      return refuse('STATE_UNREADABLE', `the key of authority ${row.id} does not open`);
    }
    slots.push({ state: row.state, authority: loadAuthority(trustDomain, row.certificate, key) });
  }
  const journal = await openJournal({
    slots,
    clock,
    create: (now) => createAuthority(trustDomain, now, random(16), AUTHORITY_TTL_SECONDS),
    save: (next) =>
      store.writeAuthorities(
        next.map(({ state, authority }) => {
          const pkcs8 = authority.key.export({ type: 'pkcs8', format: 'der' });
          const sealedKey = sealer.seal(pkcs8, authority.id);
          return { id: authority.id, state, certificate: authority.certificate, sealedKey };
        }),
      ),
  });
  return accept({
    active: journal.active,
    bundle: () => journal.published().map(({ certificate }) => certificate),
    advance: journal.advance,
  });
}
