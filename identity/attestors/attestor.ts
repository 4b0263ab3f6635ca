import type { IssuerCode } from '../issuer/codes.ts';
import type { Selector } from '../issuer/entry.ts';
import type { Outcome } from '../outcome.ts';
import type { Peer } from './peer.ts';

/** Finds selectors of a peer by evidence that the peer cannot choose. */
export interface Attestor {
  readonly name: string;
  /** A refusal ends the attestation: the peer gets nothing, whatever other attestors find. */
  attest(peer: Peer): Outcome<readonly Selector[], IssuerCode>;
}
