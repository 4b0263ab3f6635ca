import { encodeBase64Url } from '#custody/base64url.ts';
import type { RecordCode } from '#custody/codes.ts';
import { headerText } from '#custody/record/parse.ts';
import { type Case, REQUEST, SECOND } from './good.ts';
import { type Forgery, fixed } from './sender.ts';

export interface BadCase extends Case {
  readonly code: RecordCode;
}

const id = (name: string) => encodeBase64Url(fixed(name, 32));
const base64 = (text: string) => Buffer.from(text).toString('base64');
const base64Url = (text: string) => Buffer.from(text).toString('base64url');

function bad(code: RecordCode, name: string, description: string, forgery: Forgery): BadCase {
  return { code, name, description, forgery };
}

function part(jws: string, index: number, change: (text: string) => string): string {
  return jws
    .split('.')
    .map((text, at) => (at === index ? change(text) : text))
    .join('.');
}

/** The same bits and one that should be zero. */
function trailingBit(text: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  return text.slice(0, -1) + alphabet[alphabet.indexOf(text.slice(-1)) + 1];
}

const withMember = (member: string) => (thumbprint: string) =>
  headerText(thumbprint).replace(/}$/, `,${member}}`);
const withAlg = (alg: string) => (thumbprint: string) =>
  headerText(thumbprint).replace('ES256', alg);

const HEADERS: readonly BadCase[] = [
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

const FORM: readonly BadCase[] = [
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

const iat = (claims: string) => claims.match(/"iat":(\d+)/)?.[1] ?? '';
const CANONICAL: readonly BadCase[] = (
  [
    ['duplicate-claim', 'knd appears twice.', (c: string) => c.replace('{', '{"knd":"act",')],
    [
      'escaped-key',
      'A key is spelt with an escape.',
      (c: string) => c.replace('"jti"', '"\\u006ati"'),
    ],
    ['escaped-value', 'A slash is escaped.', (c: string) => c.replace('//city', '\\/\\/city')],
    [
      'float',
      'iat is written as a float of the same value.',
      (c: string) => c.replace(iat(c), `${iat(c)}.0`),
    ],
    ['fraction', 'iat has a fraction.', (c: string) => c.replace(iat(c), `${iat(c)}.5`)],
    [
      'exponent',
      'seq is written with an exponent.',
      (c: string) => c.replace('"seq":1', '"seq":1e0'),
    ],
    ['minus-zero', 'A number is minus zero.', (c: string) => c.replace('"seq":1', '"seq":-0')],
    [
      'unsafe-integer',
      'A number exceeds 2^53.',
      (c: string) => c.replace('"seq":1', '"seq":9007199254740993'),
    ],
    ['whitespace', 'The claims begin with a space.', (c: string) => ` ${c}`],
    ['newline', 'The claims end in a newline.', (c: string) => `${c}\n`],
    ['key-order', 'exp stands first.', (c: string) => c.replace(/(\{)(.*)("exp":\d+,)/, '$1$3$2')],
    ['null', 'A claim is null.', (c: string) => c.replace('"seq":1', '"seq":null')],
    [
      'lone-surrogate',
      'A string has half a surrogate pair.',
      (c: string) => c.replace('reading', '\\ud800'),
    ],
  ] as const
).map(([name, description, rewrite]) =>
  bad('RECORD_NOT_CANONICAL', name, description, { rewrite }),
);

const CLAIMS: readonly BadCase[] = [
  bad('RECORD_CLAIMS_NOT_JSON', 'not-json', 'The claims are not JSON.', {
    rewrite: () => 'claims',
  }),
  bad(
    'RECORD_CLAIMS_NOT_JSON',
    'detached',
    'The claims are left out, as RFC 7515 F allows elsewhere.',
    {
      after: (jws) => part(jws, 1, () => ''),
    },
  ),
  bad('RECORD_CLAIMS_NOT_JSON', 'byte-order-mark', 'The claims begin with a byte order mark.', {
    rewrite: (c) => `\ufeff${c}`,
  }),
  bad('RECORD_CLAIMS_NOT_JSON', 'not-utf8', 'A byte of the claims is not UTF-8.', {
    rewrite: (c) => Buffer.from(c.replace('reading', '\xff'), 'latin1'),
  }),
  bad('RECORD_CLAIM_UNKNOWN', 'unknown-claim', 'There is a claim nbf.', { claims: { nbf: 1 } }),
  bad('RECORD_CLAIM_UNKNOWN', 'proto-claim', 'There is a claim __proto__.', {
    rewrite: (c) => c.replace('{', '{"__proto__":"x",'),
  }),
  bad('RECORD_CLAIM_MISSING', 'missing-jti', 'jti is absent.', { claims: { jti: undefined } }),
  bad('RECORD_CLAIM_INVALID', 'array', 'The claims are a list.', { rewrite: () => '[]' }),
  bad('RECORD_CLAIM_INVALID', 'long-life', 'The record would live for an hour.', {
    rewrite: (c) => c.replace(/"exp":\d+/, `"exp":${Number(iat(c)) + 3600}`),
  }),
  bad('RECORD_CLAIM_INVALID', 'audience-string', 'aud is a string.', {
    claims: { aud: 'spiffe://city.example/agent/analyzer/north/analyzer-1' },
  }),
  bad('RECORD_CLAIM_INVALID', 'audience-star-inside', 'The star is not the last segment.', {
    claims: { aud: ['spiffe://city.example/agent/*/north/analyzer-1'] },
  }),
  bad('RECORD_CLAIM_INVALID', 'audience-everybody', 'A pattern over a whole trust domain.', {
    claims: { aud: ['spiffe://city.example/*'] },
  }),
  bad('RECORD_CLAIM_INVALID', 'subject-wildcard', 'The subject has a wildcard.', {
    claims: { sbj: 'north.reading.>' },
  }),
  bad('RECORD_CLAIM_INVALID', 'kind-unknown', 'The kind is not known.', {
    claims: { knd: 'order' },
  }),
  bad('RECORD_CLAIM_INVALID', 'jti-trailing-bits', 'jti has spare bits set.', {
    claims: { jti: trailingBit(encodeBase64Url(fixed('jti'))) },
  }),
  bad('RECORD_CLAIM_INVALID', 'cause-trailing-bits', 'A cause has spare bits set.', {
    claims: { knd: 'msg', par: [trailingBit(id('a'))] },
  }),
  bad('RECORD_CLAIM_INVALID', 'cause-twice', 'A cause is named twice.', {
    claims: { knd: 'msg', par: [id('a'), id('a')] },
  }),
  bad('RECORD_CLAIM_INVALID', 'sequence-zero', 'seq is 0.', { claims: { seq: 0, rsq: 0 } }),
  bad('RECORD_CLAIM_INVALID', 'sequence-ahead', 'rsq exceeds seq.', { claims: { rsq: 2 } }),
  bad('RECORD_CLAIM_INVALID', 'first-has-previous', 'The first record names a previous one.', {
    claims: { prv: id('a') },
  }),
  bad('RECORD_CLAIM_INVALID', 'tool-extra', 'The tool claim has another member.', {
    claims: { tool: { kind: 'llm', model: 'm', rid: '1', signed: false, by: 'me' } },
  }),
  bad('RECORD_PARENTS_TOO_MANY', 'seventeen-causes', 'The record names 17 causes.', {
    claims: { knd: 'msg', par: Array.from({ length: 17 }, (_, n) => id(`cause ${n}`)) },
  }),
  bad('RECORD_KIND_SHAPE', 'root-with-cause', 'A root names a cause.', {
    claims: { par: [id('a')] },
  }),
  bad('RECORD_KIND_SHAPE', 'act-for-many', 'An act is addressed to a pattern.', {
    claims: { ...REQUEST.claims, aud: ['spiffe://city.example/service/*'], rpl: undefined },
  }),
  bad('RECORD_KIND_SHAPE', 'act-without-cause', 'An act has no cause.', {
    claims: { ...REQUEST.claims, par: [] },
  }),
  bad('RECORD_KIND_SHAPE', 'act-without-tool', 'An act does not name its tool.', {
    claims: { ...REQUEST.claims, tool: undefined },
  }),
  bad('RECORD_KIND_SHAPE', 'request-for-many', 'A request is addressed to a pattern.', {
    claims: { rpl: '_INBOX.a.b.c' },
  }),
];

const WIRE: readonly BadCase[] = [
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

const PROOF: readonly BadCase[] = [
  bad('RECORD_CHAIN_UNKNOWN', 'chain-absent', 'The certificate is not known and not sent.', {
    chain: null,
  }),
  bad(
    'RECORD_CHAIN_MISMATCH',
    'chain-of-another',
    'The chain has another leaf than the header names.',
    {
      chain: base64('another certificate'),
    },
  ),
  bad(
    'RECORD_CHAIN_UNVERIFIED',
    'foreign-authority',
    'Our SPIFFE ID, signed by another authority.',
    {
      by: 'impostor',
    },
  ),
  bad('RECORD_CHAIN_UNVERIFIED', 'foreign-domain', 'A trust domain without a bundle.', {
    by: 'stranger',
  }),
  bad('RECORD_SIGNATURE_INVALID', 'signature-of-another', 'The signature is by another key.', {
    signWith: 'action',
  }),
  bad('RECORD_SIGNATURE_INVALID', 'signature-zero', 'r and s are zero.', {
    after: (jws) => part(jws, 2, () => Buffer.alloc(64).toString('base64url')),
  }),
  bad('RECORD_SIGNATURE_INVALID', 'claims-altered', 'The claims were changed after signing.', {
    after: (jws) =>
      part(jws, 1, (c) => base64Url(Buffer.from(c, 'base64url').toString().replace('root', 'msg'))),
  }),
  bad('RECORD_ISSUER_MISMATCH', 'issuer-of-another', 'The sensor signs as the action agent.', {
    claims: { iss: 'spiffe://city.example/agent/action/north/action-1' },
  }),
  bad('RECORD_SUBJECT_MISMATCH', 'other-subject', 'The message was moved to another subject.', {
    message: { subject: 'south.reading.sensor-cam-1' },
  }),
  bad('RECORD_REPLY_MISMATCH', 'reply-added', 'Somebody added a reply subject.', {
    message: { reply: '_INBOX.evil' },
  }),
  {
    ...bad('RECORD_REPLY_MISMATCH', 'reply-changed', 'The reply subject was exchanged.', {
      ...REQUEST,
      message: { ...REQUEST.message, reply: '$JS.API.STREAM.DELETE.LEDGER' },
    }),
    to: 'mcp',
  },
  bad('RECORD_PAYLOAD_MISMATCH', 'payload-altered', 'The payload was changed.', {
    message: { payload: base64('{"speed":99}') },
  }),
  bad('RECORD_PAYLOAD_MISMATCH', 'payload-reserialised', 'The same JSON in other bytes.', {
    message: { payload: base64('{ "speed": 41 }') },
  }),
  bad('RECORD_PAYLOAD_MISMATCH', 'salt-altered', 'The salt was changed.', {
    salt: encodeBase64Url(fixed('other salt')),
  }),
  bad('RECORD_AUDIENCE_MISMATCH', 'audience-one-level-up', 'The star does not span two segments.', {
    claims: { aud: ['spiffe://city.example/agent/analyzer/*'] },
  }),
  bad('RECORD_AUDIENCE_MISMATCH', 'audience-prefix', 'A name that ours begins with.', {
    claims: { aud: ['spiffe://city.example/agent/analyzer/north/analyzer'] },
  }),
  {
    ...bad('RECORD_AUDIENCE_MISMATCH', 'other-audience', 'Presented to the action agent.', {}),
    to: 'action',
  },
  { ...bad('RECORD_EXPIRED', 'expired', 'Presented at exp.', {}), later: 30_000 },
  {
    ...bad('RECORD_FROM_FUTURE', 'from-future', 'Issued more than 5 s ahead of the receiver.', {}),
    later: -6_000,
  },
  {
    ...bad('RECORD_BEFORE_START', 'before-start', 'Signed before the receiver started.', {}),
    start: 500,
    later: 1_000,
  },
  { ...bad('RECORD_REPLAYED', 'replay', 'The same message again.', {}), before: [{}] },
  {
    ...bad('RECORD_SEQUENCE_REGRESSED', 'reordered', 'The first record after the second.', {}),
    before: [SECOND],
  },
];

export const BAD: readonly BadCase[] = [
  ...WIRE,
  ...FORM,
  ...HEADERS,
  ...CANONICAL,
  ...CLAIMS,
  ...PROOF,
];
