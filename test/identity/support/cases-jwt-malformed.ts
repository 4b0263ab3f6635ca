import { sign } from 'node:crypto';
import type { JwtCode } from '#identity/codes.ts';
import { NOW } from './authority.ts';
import { ID } from './case.ts';
import { jws, type Part, part } from './jws.ts';
import type { VectorKeys } from './jwt-keys.ts';

interface Malformed {
  readonly expected: JwtCode;
  readonly what: string;
  readonly clause: string;
  readonly token: string;
}

/** Other spellings of a genuine token, and things that are none. All are signed where that is possible. */
export function malformedTokens(keys: VectorKeys): readonly Malformed[] {
  const cases: Malformed[] = [];
  const { privateKey } = keys.p256;
  const header = { alg: 'ES256', kid: 'k1', typ: 'JWT' };
  const seconds = NOW.getTime() / 1000;
  const claims = { sub: ID, aud: ['reports'], exp: seconds + 60, iat: seconds };
  const text = JSON.stringify(claims);
  const honest = jws('ES256', privateKey, header, claims);
  const [head = '', body = '', mac = ''] = honest.split('.');
  const add = (what: string, clause: string, token: string, expected: JwtCode = 'JWT_MALFORMED') =>
    cases.push({ expected, what, clause, token });
  const signed = (what: string, clause: string, first: Part, second: Part) =>
    add(what, clause, jws('ES256', privateKey, first, second));
  /** Signs parts that are already encoded, in whatever way. */
  const encoded = (what: string, first: string, second: string) => {
    const input = `${first}.${second}`;
    const bytes = sign('sha256', Buffer.from(input), {
      key: privateKey,
      dsaEncoding: 'ieee-p1363',
    });
    add(what, 'J-01', `${input}.${bytes.toString('base64url')}`);
  };

  add('empty', 'J-01', '');
  add('one-part', 'J-01', head);
  add('two-parts', 'J-01', `${head}.${body}`);
  add('four-parts', 'J-01', `${honest}.${mac}`);
  add('five-parts-as-encrypted', 'J-01', `${head}.${body}.${mac}.${mac}.${mac}`);
  add('empty-header', 'J-01', `.${body}.${mac}`);
  add('empty-claims', 'J-01', `${head}..${mac}`);
  add('empty-signature', 'J-01', `${head}.${body}.`);
  add('blank-before', 'J-01', ` ${honest}`);
  add('line-end-behind', 'J-01', `${honest}\n`);
  add('with-bearer', 'J-01', `Bearer ${honest}`);
  const general = { payload: body, signatures: [{ protected: head, signature: mac }] };
  add('json-general', 'J-01', JSON.stringify(general));
  add('json-flattened', 'J-01', JSON.stringify({ protected: head, payload: body, signature: mac }));
  add('json-with-dots', 'J-01', JSON.stringify({ a: honest }));

  const padded = (value: Part) => Buffer.from(part(value), 'base64url').toString('base64');
  encoded('header-padded', `${head}=`, body);
  encoded('claims-in-standard-base64', head, padded({ ...claims, x: '\u00ff\u00fe\u00ff?>?' }));
  encoded('header-with-a-line-end', `${head.slice(0, 8)}\n${head.slice(8)}`, body);
  add('signature-padded', 'J-01', `${honest}==`);
  for (const [what, token] of [
    ['signature-with-hidden-bits', `${head}.${body}.${hidden(mac)}`],
    ['signature-of-a-lone-character', `${head}.${body}.${mac}AAA`],
  ] as const) {
    add(what, 'J-01', token);
  }
  // A length that leaves unused bits in the last character.
  const uneven = [0, 1, 2]
    .map((n) => part(`${text}${' '.repeat(n)}`))
    .find((one) => one.length % 4 !== 0);
  encoded('claims-with-hidden-bits', head, hidden(uneven ?? body));
  const unevenHead = [0, 1, 2]
    .map((n) => part(`${JSON.stringify(header)}${' '.repeat(n)}`))
    .find((one) => one.length % 4 !== 0);
  encoded('header-with-hidden-bits', hidden(unevenHead ?? head), body);

  signed('header-not-json', 'J-02', 'alg=ES256', claims);
  signed('header-a-list', 'J-02', '["ES256"]', claims);
  signed('header-null', 'J-02', 'null', claims);
  signed('header-with-a-comma-too-many', 'J-02', '{"alg":"ES256","kid":"k1",}', claims);
  signed('alg-twice', 'J-02 JV-01', '{"alg":"none","alg":"ES256","kid":"k1"}', claims);
  signed(
    'alg-twice-once-escaped',
    'J-02 JV-01',
    '{"alg":"ES256","\\u0061lg":"none","kid":"k1"}',
    claims,
  );
  signed('kid-twice', 'J-02', '{"alg":"ES256","kid":"k0","kid":"k1"}', claims);
  signed('claims-not-json', 'J-05', header, 'sub');
  signed('claims-a-list', 'J-05', header, `[${text}]`);
  signed('claims-a-text', 'J-05', header, JSON.stringify(text));
  signed('claims-and-more', 'J-05', header, `${text}{}`);
  signed('claims-with-byte-order-mark', 'J-05', header, `\ufeff${text}`);
  signed('sub-twice', 'J-05', header, text.replace('{', '{"sub":"spiffe://city.example/admin",'));
  signed('aud-twice', 'J-05', header, text.replace('{', '{"aud":["db"],'));
  signed('a-deep-member-twice', 'J-06', header, text.replace('{', '{"x":{"a":1,"a":2},'));
  signed(
    'claims-not-utf-8',
    'J-05',
    header,
    Buffer.concat([Buffer.from(text), Buffer.from([0xff])]),
  );
  signed(
    'claims-too-deep',
    'J-06',
    header,
    text.replace('{', `{"x":${'['.repeat(40)}${']'.repeat(40)},`),
  );
  signed('claims-with-half-a-surrogate-pair', 'J-06', header, text.replace('{', '{"x":"\\ud800",'));

  const long = jws('ES256', privateKey, header, { ...claims, x: 'a'.repeat(16_384) });
  add('sixteen-kilobytes', 'J-05', long, 'JWT_TOO_LONG');
  return cases;
}

/** The same bytes by another last character; needs a length that is no multiple of four. */
function hidden(encodedText: string): string {
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_';
  const last = alphabet.indexOf(encodedText.at(-1) ?? 'A');
  return `${encodedText.slice(0, -1)}${alphabet[last ^ 1]}`;
}
