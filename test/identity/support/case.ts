import type { SvidCode } from '#identity/codes.ts';
import type { Issued } from './authority.ts';

export const TRUST_DOMAIN = 'city.example';
export const ID = `spiffe://${TRUST_DOMAIN}/agent/sensor/north/cam-1`;

/** A vector before its certificates are encoded. */
export interface Case {
  readonly expected: 'OK' | SvidCode;
  readonly what: string;
  readonly clause: string;
  readonly chain: readonly (Issued | Uint8Array)[];
  readonly bundles: Readonly<Record<string, readonly (Issued | Uint8Array)[]>>;
  readonly id?: string;
  readonly now?: Date;
  readonly openssl?: 'accepts' | 'rejects' | undefined;
}
