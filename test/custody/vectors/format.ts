/** One message as it arrives, all bytes in standard base64. See README.md in this folder. */
export interface VectorMessage {
  readonly headers: readonly (readonly [name: string, values: readonly string[]])[];
  readonly subject: string;
  readonly reply: string | null;
  readonly payload: string;
}

export interface Vector {
  readonly description: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
  readonly receiver: { readonly id: string; readonly start: number };
  /** Messages that the receiver takes before, in this order. */
  readonly before: readonly VectorMessage[];
  readonly message: VectorMessage;
  /** `code` in bad/, the others in good/. */
  readonly expect:
    | { readonly code: string }
    | { readonly signer: string; readonly id: string; readonly gap: number };
}

/** keys.json: what all vectors share. Test keys; nothing trusts them. */
export interface VectorKeys {
  /** Milliseconds; all certificates are valid then. */
  readonly time: number;
  /** Trust domain → root certificates, DER. */
  readonly trust: Readonly<Record<string, readonly string[]>>;
  readonly identities: Readonly<
    Record<string, { readonly id: string; readonly key: string; readonly chain: readonly string[] }>
  >;
  /** SHA-256 (hex) of key name and text → signature: ECDSA is random, the files are not. */
  readonly signatures: Readonly<Record<string, string>>;
}
