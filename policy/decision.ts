import type { SpiffeId } from '#identity/spiffe-id.ts';

/** A question in the terms of OpenID AuthZEN 1.0. The subject comes from a verified SVID or record. */
export interface DecisionInput {
  readonly subject: {
    readonly type: 'agent' | 'service' | 'platform';
    readonly id: SpiffeId;
    readonly properties: { readonly trust_domain: string };
  };
  readonly action: {
    readonly name: string;
    readonly properties: Readonly<Record<string, unknown>>;
  };
  readonly resource: {
    readonly type: string;
    readonly id: string;
    readonly properties: Readonly<Record<string, unknown>>;
  };
  readonly context: Readonly<Record<string, unknown>>;
}

export interface Decision {
  /** 128 random bits, base64url. */
  readonly id: string;
  readonly allow: boolean;
  /** Names of the rules that allowed or denied, sorted; `default_deny` where none spoke. */
  readonly reasons: readonly string[];
  readonly obligations: Readonly<Record<string, unknown>>;
  /** SHA-256 (hex) of policy and data together. */
  readonly revision: string;
}

/** NATS permissions. A subscribe entry is `subject` or `subject queue`. Never empty: see the gate. */
export interface NatsPermissions {
  readonly publish: { readonly allow: readonly string[] };
  readonly subscribe: { readonly allow: readonly string[] };
}

export interface Policy {
  readonly revision: string;
  decide(input: DecisionInput): Decision;
  /** `undefined` when the policy grants this identity nothing: the connection is refused. */
  permissions(id: SpiffeId): NatsPermissions | undefined;
}
