/**
 * Refusals of the client half of `identity/`: what a verifier says about a foreign SVID, and what
 * the Workload API client says about a message it was pushed.
 */
export const SVID_CODES = {
  SVID_CHAIN_EMPTY: 'The chain has no certificate.',
  SVID_CHAIN_TOO_LONG: 'The chain has more certificates, or a larger one, than a verifier reads.',
  SVID_MALFORMED: 'A certificate is not strict DER, or not an X.509 version 3 certificate.',
  SVID_SAN_MISSING: 'The leaf has no URI subject alternative name, so it names nobody.',
  SVID_SAN_MULTIPLE: 'The leaf has more than one URI subject alternative name.',
  SVID_SAN_NOT_CRITICAL: 'The leaf has an empty subject and its alternative name is not critical.',
  SVID_ID_INVALID: 'The URI subject alternative name is not a SPIFFE ID.',
  SVID_ID_NO_PATH: 'The SPIFFE ID is that of a trust domain, which is no workload.',
  SVID_TRUST_DOMAIN_UNKNOWN: 'No bundle is held for the trust domain of the SPIFFE ID.',
  SVID_LEAF_IS_CA: 'The leaf says that it is a certificate authority.',
  SVID_KEY_USAGE_MISSING: 'A certificate has no keyUsage extension.',
  SVID_KEY_USAGE_NOT_CRITICAL: 'The keyUsage extension is not critical.',
  SVID_KEY_USAGE_SIGNER: 'The leaf may sign certificates or revocation lists.',
  SVID_KEY_USAGE_NO_SIGNATURE: 'The leaf may not make digital signatures.',
  SVID_EXTENDED_KEY_USAGE: 'The leaf restricts its use to less than both server and client.',
  SVID_CRITICAL_EXTENSION: 'A critical extension, or a name constraint, is not understood here.',
  SVID_ALGORITHM_WEAK: 'A signature algorithm or key is not on the accepted list.',
  SVID_NOT_YET_VALID: 'The leaf is not valid yet.',
  SVID_EXPIRED: 'The leaf has expired.',
  SVID_SIGNER_UNKNOWN: 'No authority of the trust domain signed the chain.',
  SVID_SIGNATURE_INVALID: 'A signature in the chain was not made by the key of the named signer.',
  SVID_SIGNER_NOT_CA: 'A signer in the chain is not a certificate authority.',
  SVID_SIGNER_NOT_VALID: 'A signer in the chain has expired or is not valid yet.',
  SVID_SIGNER_ID: 'An intermediate authority carries the SPIFFE ID of a workload.',
  SVID_PATH_LENGTH: 'More authorities follow a signer than its path length allows.',
} as const;
export type SvidCode = keyof typeof SVID_CODES;

export const JWT_CODES = {
  JWT_TOO_LONG: 'The token is longer than a validator reads.',
  JWT_MALFORMED: 'The token is not three parts of canonical base64url, or not strict JSON in them.',
  JWT_ALGORITHM_NOT_ALLOWED: 'The algorithm is none of the nine that a JWT-SVID may have.',
  JWT_HEADER_NOT_ALLOWED: 'The header has more members than alg, kid and typ.',
  JWT_TYPE_INVALID: 'The typ of the token is neither JWT nor JOSE.',
  JWT_KID_MISSING: 'The header does not say which key signed, and none is guessed.',
  JWT_SUBJECT_INVALID: 'The token has no subject, or one that is not a SPIFFE ID.',
  JWT_AUDIENCE_MISSING: 'The token names no audience.',
  JWT_EXPIRY_MISSING: 'The token does not say when it ends.',
  JWT_CLAIM_INVALID: 'A registered claim has a value of the wrong kind.',
  JWT_TRUST_DOMAIN_UNKNOWN: 'No JWT bundle is held for the trust domain of the subject.',
  JWT_KEY_UNKNOWN: 'The JWT bundle of the trust domain has no key with this kid.',
  JWT_KEY_UNSUITABLE: 'The named key is not one of the algorithm that the header names.',
  JWT_SIGNATURE_INVALID: 'The signature was not made by the named key over these bytes.',
  JWT_EXPIRED: 'The token has ended.',
  JWT_NOT_YET_VALID: 'The token has not begun.',
  JWT_AUDIENCE_MISMATCH: 'The token is for somebody else than the validator.',
} as const;
export type JwtCode = keyof typeof JWT_CODES;

export const BUNDLE_CODES = {
  BUNDLE_MALFORMED: 'The bundle is no sequence of DER certificates, no PEM, or no strict JWK Set.',
  BUNDLE_KEY_INVALID: 'A key of a bundle is malformed, or lacks the certificate or kid of its use.',
  BUNDLE_TRUST_DOMAIN_INVALID: 'The bundle is not keyed by the SPIFFE ID of a trust domain.',
} as const;
export type BundleCode = keyof typeof BUNDLE_CODES;

export const WORKLOAD_CODES = {
  WORKLOAD_FIELD_EMPTY: 'A mandatory field of a Workload API message is empty.',
  WORKLOAD_SVID_INVALID: 'An SVID came whose parts do not agree, or that was not asked for.',
  WORKLOAD_DENIED: 'The Workload API says that this process has no such identity.',
  WORKLOAD_REFUSED: 'The Workload API refuses the request as it is; the same again is no better.',
  WORKLOAD_UNAVAILABLE: 'The Workload API gave no answer, or none in time.',
} as const;
export const ENDPOINT_CODES = {
  ENDPOINT_INVALID: 'The address of a Workload API is neither unix:///path nor tcp://IP:port.',
} as const;
export type EndpointCode = keyof typeof ENDPOINT_CODES;

export type WorkloadCode = keyof typeof WORKLOAD_CODES | BundleCode;

export const PEER_CODES = {
  PEER_NO_CERTIFICATE: 'The peer of a TLS connection presented no certificate.',
  PEER_SESSION_RESUMED: 'The TLS session was resumed, so no certificate was presented on it.',
  PEER_UNEXPECTED: 'The peer proved a SPIFFE ID that is not the expected one.',
} as const;
export type PeerCode = keyof typeof PEER_CODES | SvidCode;
