import type { RecordClaims, RecordId } from '#custody/record.ts';
import type { SpiffeId } from '#identity/spiffe-id.ts';
import type { Member } from './directory.ts';

/** Only `bus/door.ts` makes one; an architecture test holds that. */
export interface Verified<T> {
  readonly ok: true;
  /** Whose record it is: the identity that signed. */
  readonly signedBy: SpiffeId;
  readonly sender: Member;
  readonly recordId: RecordId;
  readonly claims: RecordClaims;
  readonly subject: string;
  readonly payload: T;
  /** How many of the sender's records to this receiver were missed just before this one. */
  readonly gap: number;
}
