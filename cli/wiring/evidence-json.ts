import type { RecordId } from '#custody/record.ts';
import type { EvidenceRecord } from '#custody/verify.ts';

/** A record with its evidence in JSON; bytes as base64. */
export interface EvidenceJson {
  readonly id: string;
  readonly jws: string;
  readonly salt: string;
  readonly payload?: string;
  readonly chain: readonly string[];
  readonly at?: number;
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');
const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'));

export function evidenceJson(record: EvidenceRecord): EvidenceJson {
  return {
    id: record.id,
    jws: record.jws,
    salt: base64(record.salt),
    ...(record.payload !== undefined && { payload: base64(record.payload) }),
    chain: record.chain.map(base64),
    ...(record.at !== undefined && { at: record.at }),
  };
}

export function evidenceFrom(json: EvidenceJson): EvidenceRecord {
  return {
    id: json.id as RecordId,
    jws: json.jws,
    salt: bytes(json.salt),
    ...(json.payload !== undefined && { payload: bytes(json.payload) }),
    chain: json.chain.map(bytes),
    ...(json.at !== undefined && { at: json.at }),
  };
}
