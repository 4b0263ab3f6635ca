import { accept, type Outcome, refuse } from '../outcome.ts';
import {
  AUTHORITY_TTL_SECONDS,
  type Authority,
  createAuthority,
  loadAuthority,
} from './authority.ts';
import type { IssuerCode } from './codes.ts';
import type { Sealer } from './sealing.ts';
import type { AuthorityState, Store } from './store.ts';

/** The authorities of the trust domain, as the journal has them. */
export interface Authorities {
  /** The one that signs. */
  active(): Authority;
  /** DER, active first; all whose leaves may be alive, and the prepared one before it signs. */
  bundle(): readonly Uint8Array[];
  /** Prepares, activates and prunes by age. @returns whether anything changed */
  advance(): Promise<boolean>;
}

interface Slot {
  readonly state: AuthorityState;
  readonly authority: Authority;
}

export interface AuthoritiesOptions {
  readonly store: Store;
  readonly sealer: Sealer;
  readonly trustDomain: string;
  readonly clock: () => Date;
  readonly random: (size: number) => Uint8Array;
}

const ORDER: readonly AuthorityState[] = ['active', 'prepared', 'old'];

/**
 * Which steps SPIRE's manager would take: prepare the next at half of the active one's life,
 * activate it when a sixth is left. An old authority leaves the bundle when it has expired, since
 * no leaf outlives its authority.
 */
function due(slots: readonly Slot[], now: Date): 'create' | 'prepare' | 'activate' | undefined {
  const active = slots.find((slot) => slot.state === 'active')?.authority;
  const prepared = slots.find((slot) => slot.state === 'prepared')?.authority;
  if (active === undefined || active.notAfter <= now) return prepared ? 'activate' : 'create';
  const life = active.notAfter.getTime() - active.notBefore.getTime();
  const left = active.notAfter.getTime() - now.getTime();
  if (prepared !== undefined) return left <= life / 6 ? 'activate' : undefined;
  return left <= life / 2 ? 'prepare' : undefined;
}

/** Reads the journal, and makes the first authority where there is none. */
export async function openAuthorities(
  options: AuthoritiesOptions,
): Promise<Outcome<Authorities, IssuerCode>> {
  const { store, sealer, trustDomain, clock, random } = options;
  let slots: Slot[] = [];
  for (const row of store.authorities()) {
    const key = sealer.open(row.sealedKey, row.id);
    if (key === undefined) {
      return refuse('STATE_UNREADABLE', `the key of authority ${row.id} does not open`);
    }
    const authority = loadAuthority(trustDomain, row.certificate, key);
    slots.push({ state: row.state, authority });
  }

  const save = (next: Slot[]): void => {
    store.writeAuthorities(
      next.map(({ state, authority }) => {
        const pkcs8 = authority.key.export({ type: 'pkcs8', format: 'der' });
        const sealedKey = sealer.seal(pkcs8, authority.id);
        return { id: authority.id, state, certificate: authority.certificate, sealedKey };
      }),
    );
    slots = next;
  };
  const fresh = (): Promise<Authority> =>
    createAuthority(trustDomain, clock(), random(16), AUTHORITY_TTL_SECONDS);
  const retire = (slot: Slot): Slot => (slot.state === 'active' ? { ...slot, state: 'old' } : slot);

  const step = async (): Promise<boolean> => {
    const now = clock();
    const live = slots.filter((slot) => slot.authority.notAfter > now);
    switch (due(live, now)) {
      case 'create':
        save([{ state: 'active', authority: await fresh() }, ...live]);
        return true;
      case 'prepare':
        save([...live, { state: 'prepared', authority: await fresh() }]);
        return true;
      case 'activate':
        save(
          live.map((slot) =>
            slot.state === 'prepared' ? { ...slot, state: 'active' } : retire(slot),
          ),
        );
        return true;
      default:
        if (live.length === slots.length) return false;
        save(live);
        return true;
    }
  };
  const advance = async (): Promise<boolean> => {
    let changed = false;
    while (await step()) changed = true;
    return changed;
  };

  await advance();
  return accept({
    active: () => {
      const slot = slots.find((one) => one.state === 'active');
      if (slot === undefined) throw new Error('authorities: none is active');
      return slot.authority;
    },
    bundle: () =>
      ORDER.flatMap((state) => slots.filter((slot) => slot.state === state)).map(
        (slot) => slot.authority.certificate,
      ),
    advance,
  });
}
