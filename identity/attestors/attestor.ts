import type { IssuerCode } from '../issuer/codes.ts';
import type { Selector } from '../issuer/entry.ts';
import type { Outcome } from '../outcome.ts';
import type { Peer } from './peer.ts';

/** Finds selectors of a peer by evidence that the peer cannot choose. */
export interface Attestor {
  readonly name: string;
  /** What takes time, and stays true of a peer that stays what it is. Never rejects. */
  prepare?(peer: Peer): Promise<void>;
  /**
   * A refusal ends the attestation: the peer gets nothing, whatever other attestors find. Only
   * `NOT_LAUNCHED` does not: it says that this attestor knows nothing of the peer.
   */
  attest(peer: Peer): Outcome<readonly Selector[], IssuerCode>;
}
