import type { SpiffeId } from '#identity/spiffe-id.ts';

/** What a record does. `root` opens a chain: a source, or a gateway that vouches for its caller. */
export const RECORD_KINDS = [
  'root',
  'msg',
  'tool.call',
  'tool.result',
  'act',
  'ack',
  'join',
  'revoke',
] as const;
export type RecordKind = (typeof RECORD_KINDS)[number];

/** base64url(SHA-256(header "." claims)), 43 characters. The signature is not part of it. */
export type RecordId = string & { readonly __recordId: unique symbol };

/** How a model or tool result came about. The gateway attests it; the model signs nothing. */
export interface ToolClaim {
  readonly kind: string;
  readonly model: string;
  readonly rid: string;
  readonly signed: false;
}

/** Claims of a custody record, serialised as RFC 8785. Times in seconds since the epoch. */
export interface RecordClaims {
  /** Sender; equals the leaf's only URI SAN. */
  readonly iss: SpiffeId;
  /** Receivers: SPIFFE IDs, or a role pattern (`spiffe://td/agent/analyzer/north/*`). */
  readonly aud: readonly string[];
  /** The exact NATS subject. */
  readonly sbj: string;
  /** The reply subject; on requests only. */
  readonly rpl?: string;
  readonly knd: RecordKind;
  /** 128 random bits, base64url (22 characters). */
  readonly jti: string;
  readonly iat: number;
  readonly exp: number;
  /** Process session: 128 random bits, base64url. */
  readonly sid: string;
  /** Counter of the session, from 1. */
  readonly seq: number;
  /** Id of the sender's previous record; absent on the first. */
  readonly prv?: RecordId;
  /** Counter per (sender session, audience), from 1. */
  readonly rsq: number;
  /** Causes, at most 16. */
  readonly par: readonly RecordId[];
  /** base64url(SHA-256("custody/v1\0" ‖ salt ‖ payload)). */
  readonly pdg: string;
  readonly txn?: string;
  readonly tth?: string;
  readonly tool?: ToolClaim;
}

/** A signed record with what must travel beside it. */
export interface SignedRecord {
  readonly id: RecordId;
  readonly jws: string;
  /** 16 bytes. */
  readonly salt: Uint8Array;
  readonly claims: RecordClaims;
  /** The signer's chain, DER, leaf first. */
  readonly chain: readonly Uint8Array[];
}
