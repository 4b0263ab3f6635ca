import type { AuthorityState } from './store-authorities.ts';

/** What a journal needs to know of an authority, of whichever kind. */
export interface Lived {
  readonly notBefore: Date;
  readonly notAfter: Date;
}

export interface Slot<T> {
  readonly state: AuthorityState;
  readonly authority: T;
}

/** The authorities of one kind, of which one signs. */
export interface Journal<T> {
  /** The one that signs. */
  active(): T;
  /** Active first; all whose SVIDs may be alive, and the prepared one before it signs. */
  published(): readonly T[];
  /** Prepares, activates and prunes by age. @returns whether anything changed */
  advance(): Promise<boolean>;
}

export interface JournalOptions<T> {
  readonly slots: readonly Slot<T>[];
  readonly create: (now: Date) => Promise<T>;
  /** On disk when it returns. */
  readonly save: (slots: readonly Slot<T>[]) => void;
  readonly clock: () => Date;
}

const ORDER: readonly AuthorityState[] = ['active', 'prepared', 'old'];

/**
 * Which steps SPIRE's manager would take: prepare the next at half of the active one's life,
 * activate it when a sixth is left. An old authority leaves the bundle when it has expired, since
 * no SVID outlives its authority.
 */
function due<T extends Lived>(
  slots: readonly Slot<T>[],
  now: Date,
): 'create' | 'prepare' | 'activate' | undefined {
  const active = slots.find((slot) => slot.state === 'active')?.authority;
  const prepared = slots.find((slot) => slot.state === 'prepared')?.authority;
  if (active === undefined || active.notAfter <= now) return prepared ? 'activate' : 'create';
  const life = active.notAfter.getTime() - active.notBefore.getTime();
  const left = active.notAfter.getTime() - now.getTime();
  if (prepared !== undefined) return left <= life / 6 ? 'activate' : undefined;
  return left <= life / 2 ? 'prepare' : undefined;
}

/** Takes the journal up where it was left, and makes the first authority where there is none. */
export async function openJournal<T extends Lived>(
  options: JournalOptions<T>,
): Promise<Journal<T>> {
  const { create, clock } = options;
  let slots = options.slots;
  const save = (next: readonly Slot<T>[]): void => {
    options.save(next);
    slots = next;
  };
  const retire = (slot: Slot<T>): Slot<T> =>
    slot.state === 'active' ? { ...slot, state: 'old' } : slot;

  const step = async (): Promise<boolean> => {
    const now = clock();
    const live = slots.filter((slot) => slot.authority.notAfter > now);
    switch (due(live, now)) {
      case 'create':
        save([{ state: 'active', authority: await create(now) }, ...live]);
        return true;
      case 'prepare':
        save([...live, { state: 'prepared', authority: await create(now) }]);
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
  return {
    active: () => {
      const slot = slots.find((one) => one.state === 'active');
      if (slot === undefined) throw new Error('authorities: none is active');
      return slot.authority;
    },
    published: () =>
      ORDER.flatMap((state) => slots.filter((slot) => slot.state === state)).map(
        (slot) => slot.authority,
      ),
    advance,
  };
}
