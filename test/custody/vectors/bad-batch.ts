import { type BadCase, bad } from './case.ts';

const PLACE = { size: 7, index: 4 } as const;
/** Rewrites one of claims, index, path and batch. */
const piece = (at: number, change: (text: string) => string) => (record: string) =>
  record
    .split('~')
    .map((text, index) => (index === at ? change(text) : text))
    .join('~');

export const BATCH: readonly BadCase[] = [
  bad('RECORD_SIGNATURE_INVALID', 'batch-place-moved', 'The record says another place.', {
    batch: PLACE,
    after: piece(1, () => '5'),
  }),
  bad('RECORD_SIGNATURE_INVALID', 'batch-place-beyond', 'The place lies beyond the batch.', {
    batch: PLACE,
    after: piece(1, () => '7'),
  }),
  bad('RECORD_SIGNATURE_INVALID', 'batch-path-short', 'A hash of the path is missing.', {
    batch: PLACE,
    after: piece(2, (path) => Buffer.from(path, 'base64url').subarray(32).toString('base64url')),
  }),
  bad('RECORD_SIGNATURE_INVALID', 'batch-path-altered', 'A bit of the path is flipped.', {
    batch: PLACE,
    after: piece(2, (path) => (path.startsWith('A') ? `B${path.slice(1)}` : `A${path.slice(1)}`)),
  }),
  bad('RECORD_SIGNATURE_INVALID', 'batch-record-exchanged', 'The claims are not those signed.', {
    batch: PLACE,
    after: piece(0, (claims) =>
      Buffer.from(Buffer.from(claims, 'base64url').toString().replace('"root"', '"msg"')).toString(
        'base64url',
      ),
    ),
  }),
  bad('RECORD_SIGNATURE_INVALID', 'batch-size-wrong', 'The batch says another size.', {
    batch: { ...PLACE, rewrite: (claims) => claims.replace('"size":7', '"size":9') },
  }),
  bad('RECORD_SIGNATURE_INVALID', 'batch-signed-by-another', 'Another key signed the batch.', {
    batch: PLACE,
    signWith: 'action',
  }),
  bad('RECORD_CLAIM_INVALID', 'batch-size-huge', 'The batch says more than 1,024 records.', {
    batch: { ...PLACE, rewrite: (claims) => claims.replace('"size":7', '"size":1025') },
  }),
  bad('RECORD_CLAIM_INVALID', 'batch-claim-more', 'The batch has a third claim.', {
    batch: { ...PLACE, rewrite: (claims) => claims.replace('{', '{"iat":1,') },
  }),
  bad('RECORD_CLAIM_INVALID', 'batch-whitespace', 'The claims of the batch have a space.', {
    batch: { ...PLACE, rewrite: (claims) => claims.replace(',', ', ') },
  }),
  bad('RECORD_FORM_INVALID', 'batch-index-zero-led', 'The place is written with a zero.', {
    batch: PLACE,
    after: piece(1, () => '04'),
  }),
  bad('RECORD_FORM_INVALID', 'batch-path-uneven', 'The path is no multiple of 32 bytes.', {
    batch: PLACE,
    after: piece(2, (path) => path.slice(0, -4)),
  }),
  bad('RECORD_FORM_INVALID', 'batch-parts-five', 'There is a fifth part.', {
    batch: PLACE,
    after: (record) => `${record}~`,
  }),
  bad('RECORD_TOO_LARGE', 'batch-path-long', 'The path has eleven hashes.', {
    batch: PLACE,
    after: piece(2, () => Buffer.alloc(11 * 32).toString('base64url')),
  }),
  bad('RECORD_TYP_INVALID', 'batch-as-record', 'The JWS of a batch, presented as a record.', {
    batch: PLACE,
    after: (record) => record.split('~')[3] ?? '',
  }),
  bad('RECORD_TYP_INVALID', 'record-as-batch', 'The JWS of a record, presented as a batch.', {
    after: (jws) => `${jws.split('.')[1]}~0~~${jws}`,
  }),
];
