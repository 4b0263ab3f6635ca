/** Stable refusal codes of attestation and issuing; the key is the code, the value its meaning. */
export const ISSUER_CODES = {
  PEER_UNSUPPORTED:
    'this platform gives no trustworthy peer credentials: the issuer does not start',
  PEER_UNREADABLE: 'the kernel did not tell who is at the other end of the socket',
  PEER_FOREIGN_NAMESPACE: 'the caller lives in a PID namespace that this one cannot see (PID 0)',
  PEER_GONE: 'the process that opened the connection is no longer alive',
  PEER_EXEC_CHANGED: 'the caller runs another executable than when it connected',
  NOT_LAUNCHED: 'the launcher attests no such process (PID and start time)',
  EXE_MISMATCH: 'the caller runs another executable than the launcher started',
  UID_MISMATCH: 'the caller has another uid than the launcher started it with',
  NO_ENTRY: 'no registration entry matches the selectors of the caller',
  LINK_MALFORMED: 'a message on the launcher link is not well-formed',
  LINK_CLOSED: 'the launcher link is closed',
  ATTESTATION_SIGNATURE: "an attestation is not signed with the launcher's pinned key",
  ENTRY_INVALID: 'a registration entry is not usable',
  MINT_NOT_PINNED: 'this SPIFFE ID is not in the list of identities that may be minted',
  MINT_KEY_INVALID: 'the public key to be certified is not a P-256 key',
  LEAF_INVALID: 'the requested leaf breaks an X.509-SVID rule',
  AUTHORITY_EXPIRED: 'the signing authority has no life left for this leaf',
  STATE_UNREADABLE: "the issuer's state folder cannot be used",
  LOG_BROKEN: 'the issuance log does not chain',
} as const;

export type IssuerCode = keyof typeof ISSUER_CODES;
