import { headerText } from '#custody/record/parse.ts';
import { type BadCase, bad, part, trailingBit } from './case.ts';

const base64 = (text: string) => Buffer.from(text).toString('base64');
const withMember = (member: string) => (thumbprint: string) =>
  headerText(thumbprint).replace(/}$/, `,${member}}`);
const withAlg = (alg: string) => (thumbprint: string) =>
  headerText(thumbprint).replace('ES256', alg);

export const HEADERS: readonly BadCase[] = [
  ...(
    [
      ['crit', '"crit":["b64"]'],
      ['b64', '"b64":false'],
      ['jwk', '"jwk":{"kty":"EC"}'],
      ['jku', '"jku":"https://evil.example/jwks"'],
      ['x5u', '"x5u":"https://evil.example/chain"'],
      ['kid', '"kid":"../../etc/passwd"'],
    ] as const
  ).map(([name, member]) =>
    bad('RECORD_HEADER_MEMBER', `header-${name}`, `The header has ${name}.`, {
      header: withMember(member),
    }),
  ),
  ...['none', 'HS256', 'EdDSA', 'ES384', 'es256'].map((alg) =>
    bad('RECORD_ALG_INVALID', `alg-${alg}`, `The algorithm is ${alg}.`, { header: withAlg(alg) }),
  ),
  bad('RECORD_ALG_INVALID', 'alg-none-unsigned', 'alg none with an empty signature.', {
    header: withAlg('none'),
    after: (jws) => part(jws, 2, () => ''),
  }),
  bad('RECORD_TYP_INVALID', 'typ-jwt', 'The type is that of other tokens under the same key.', {
    header: (thumbprint) => headerText(thumbprint).replace('custody+jwt', 'JWT'),
  }),
  bad('RECORD_HEADER_INVALID', 'header-order', 'The members of the header are in another order.', {
    header: (t) => `{"typ":"custody+jwt","alg":"ES256","x5t#S256":"${t}"}`,
  }),
  bad('RECORD_HEADER_INVALID', 'header-whitespace', 'The header has a space.', {
    header: (thumbprint) => headerText(thumbprint).replace(',', ', '),
  }),
  bad(
    'RECORD_HEADER_INVALID',
    'header-duplicate',
    'The header has alg twice; the last one is fine.',
    {
      header: (thumbprint) => headerText(thumbprint).replace('{', '{"alg":"none",'),
    },
  ),
  bad('RECORD_HEADER_INVALID', 'header-thumbprint-short', 'The thumbprint is cut.', {
    header: (thumbprint) => headerText(thumbprint.slice(0, 42)),
  }),
];

export const FORM: readonly BadCase[] = [
  bad('RECORD_FORM_INVALID', 'padding', 'The signature has base64 padding.', {
    after: (jws) => `${jws}==`,
  }),
  bad('RECORD_FORM_INVALID', 'signature-trailing-bits', 'A spare bit of the signature is set.', {
    after: trailingBit,
  }),
  bad('RECORD_FORM_INVALID', 'signature-der', 'The signature is 70 bytes, as DER would be.', {
    after: (jws) => part(jws, 2, () => Buffer.alloc(70, 0x30).toString('base64url')),
  }),
  bad('RECORD_FORM_INVALID', 'two-parts', 'There is no signature.', {
    after: (jws) => jws.split('.').slice(0, 2).join('.'),
  }),
  bad('RECORD_FORM_INVALID', 'four-parts', 'There is a fourth part.', {
    after: (jws) => `${jws}.e30`,
  }),
  bad('RECORD_FORM_INVALID', 'json-serialisation', 'The JWS is in JSON serialisation.', {
    after: (jws) => JSON.stringify({ payload: jws.split('.')[1] }),
  }),
  bad('RECORD_TOO_LARGE', 'huge', 'The record is larger than a record may be.', {
    after: (jws) => part(jws, 1, () => 'A'.repeat(20_000)),
  }),
];

export const WIRE: readonly BadCase[] = [
  bad('RECORD_HEADER_REPEATED', 'custody-twice', 'The message has a second Custody header.', {
    extraHeaders: [['Custody', ['x']]],
  }),
  bad('RECORD_HEADER_REPEATED', 'custody-two-values', 'A header has two values.', {
    extraHeaders: [['Custody-Chain', ['x', 'y']]],
    chain: null,
  }),
  bad('RECORD_HEADER_REPEATED', 'custody-lower-case', 'The header stands there in two spellings.', {
    extraHeaders: [['custody', ['x']]],
  }),
  bad(
    'RECORD_HEADER_REPEATED',
    'chain-lower-case',
    'The only chain header is in another spelling.',
    {
      chain: null,
      extraHeaders: [['custody-chain', ['x']]],
    },
  ),
  bad('RECORD_HEADER_MISSING', 'no-headers', 'The message has no custody headers.', {
    message: { headers: [] },
  }),
  bad('RECORD_SALT_INVALID', 'salt-short', 'The salt has 15 bytes.', {
    salt: Buffer.alloc(15).toString('base64url'),
  }),
  bad('RECORD_CHAIN_INVALID', 'chain-not-base64', 'The chain is not base64.', { chain: 'no,no' }),
  bad('RECORD_TOO_LARGE', 'chain-long', 'The chain has six certificates.', {
    chain: Array.from({ length: 6 }, () => base64('x')).join(','),
  }),
];
