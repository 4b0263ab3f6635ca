import { type Refused, refuse } from '../outcome.ts';

/** SQLite's primary result codes: a write failed, and no room for one. */
const IOERR = 10;
const FULL = 13;

/**
 * A store that cannot be written is no bug: what was asked for did not happen, nothing was lost, and
 * it may be asked for again. @throws the error itself when it is anything else
 */
export function storeRefusal(error: unknown): Refused<'STORE_FULL'> {
  const { errcode } = error as { readonly errcode?: unknown };
  const primary = typeof errcode === 'number' ? errcode & 0xff : undefined;
  if (primary !== FULL && primary !== IOERR) throw error;
  return refuse(
    'STORE_FULL',
    "the disk of the issuer's state is full or cannot be written: nothing was issued or changed; make room",
  );
}
