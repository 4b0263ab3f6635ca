import { encodeBase64Url } from '#custody/base64url.ts';
import { type BadCase, bad, id, part, trailingBit } from './case.ts';
import { REQUEST } from './good.ts';
import { fixed } from './sender.ts';

const iat = (claims: string) => claims.match(/"iat":(\d+)/)?.[1] ?? '';
export const CANONICAL: readonly BadCase[] = (
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

export const CLAIMS: readonly BadCase[] = [
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
