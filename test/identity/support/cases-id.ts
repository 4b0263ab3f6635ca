import type { SpiffeIdCode } from '#identity/spiffe-id.ts';

/** One text, as bytes: most of them are no UTF-8. */
export interface IdCase {
  readonly what: string;
  readonly clause: string;
  readonly expected: 'OK' | SpiffeIdCode;
  readonly bytes: Buffer;
  /** Of an accepted ID. */
  readonly trustDomain?: string;
  readonly path?: string;
}

const DOMAIN = /^[a-z0-9._-]$/;
const SEGMENT = /^[a-zA-Z0-9._-]$/;
const START = 'spiffe://';

/** Every byte in every place that has a rule of its own, and the shapes that have names. */
export function idCases(): readonly IdCase[] {
  const cases: IdCase[] = [];
  const add = (
    expected: IdCase['expected'],
    what: string,
    clause: string,
    text: string,
    parts: { trustDomain?: string; path?: string } = {},
  ) => {
    // Latin-1, so that each character of the text is one byte.
    cases.push({ what, clause, expected, bytes: Buffer.from(text, 'latin1'), ...parts });
  };
  const good = (what: string, clause: string, trustDomain: string, path = '') =>
    add('OK', what, clause, `${START}${trustDomain}${path}`, { trustDomain, path });

  for (let code = 0; code < 256; code += 1) {
    const one = String.fromCharCode(code);
    const name = `byte-${code.toString(16).padStart(2, '0')}`;
    const places = [
      ['trust-domain-start', `${one}b`],
      ['trust-domain-middle', `a${one}b`],
      ['trust-domain-end', `a${one}`],
    ] as const;
    // A slash ends the trust domain: the shapes below have it.
    for (const [place, trustDomain] of one === '/' ? [] : places) {
      const what = `${place}.${name}`;
      if (DOMAIN.test(one)) good(what, 'I-03', trustDomain, '/p');
      else add('ID_TRUST_DOMAIN_INVALID', what, 'I-03', `${START}${trustDomain}/p`);
    }
    const paths = [
      ['segment-start', `/${one}b`],
      ['segment-middle', `/a${one}b`],
      ['segment-end', `/a${one}`],
      ['inner-segment', `/x/a${one}b/y`],
    ] as const;
    for (const [place, path] of one === '/' ? [] : paths) {
      const what = `${place}.${name}`;
      if (SEGMENT.test(one)) good(what, 'I-05', 'td', path);
      else add('ID_PATH_INVALID', what, 'I-05', `${START}td${path}`);
    }
    add('ID_NOT_SPIFFE', `before.${name}`, 'I-01', `${one}${START}td/p`);
  }

  good('trust-domain-alone', 'I-01', 'td');
  good('dotted-quad', 'I-03 I-04', '1.2.3.4', '/a');
  good('only-punctuation', 'I-03 I-04', '-._', '/a');
  good('three-dots', 'I-05', 'td', '/...');
  good('dot-first', 'I-05', 'td', '/.a');
  good('path-case-kept', 'I-07', 'td', '/A/a');
  good('long-trust-domain', 'I-06', 'a'.repeat(255), '/x');
  good('long-id', 'I-06', 'td', `/${'a'.repeat(2048 - 12)}`);
  add('ID_TOO_LONG', 'too-long-id', 'I-06', `${START}td/${'a'.repeat(2049 - 12)}`);
  const long = `${START}${'a'.repeat(256)}/x`;
  add('ID_TRUST_DOMAIN_INVALID', 'too-long-trust-domain', 'I-06', long);
  for (const [what, text, clause] of [
    ['nothing', '', 'I-01'],
    ['no-scheme', 'td/a', 'I-01'],
    ['one-slash', 'spiffe:/td/a', 'I-01'],
    ['upper-case-scheme', 'SPIFFE://td/a', 'I-07'],
    ['mixed-case-scheme', 'Spiffe://td/a', 'I-07'],
    ['https', 'https://td/a', 'I-01'],
  ] as const) {
    add('ID_NOT_SPIFFE', what, clause, text);
  }
  for (const [what, rest, clause] of [
    ['no-trust-domain', '', 'I-01'],
    ['no-trust-domain-but-path', '/a', 'I-01'],
    ['upper-case-trust-domain', 'TD/a', 'I-03 I-07'],
    ['port', 'td:80/a', 'I-02'],
    ['empty-port', 'td:/a', 'I-02'],
    ['userinfo', 'u@td/a', 'I-02'],
    ['empty-userinfo', '@td/a', 'I-02'],
    ['userinfo-with-password', 'u:p@td/a', 'I-02'],
    ['ipv6', '[::1]/a', 'I-03'],
    ['percent-encoded-trust-domain', 't%64/a', 'I-03'],
    ['query-on-trust-domain', 'td?q', 'I-01'],
    ['fragment-on-trust-domain', 'td#f', 'I-01'],
  ] as const) {
    add('ID_TRUST_DOMAIN_INVALID', what, clause, `${START}${rest}`);
  }
  for (const [what, path, clause] of [
    ['trailing-slash-alone', '/', 'I-05'],
    ['trailing-slash', '/a/', 'I-05'],
    ['empty-segment', '/a//b', 'I-05'],
    ['two-slashes', '//', 'I-05'],
    ['dot', '/.', 'I-05'],
    ['dot-inside', '/a/./b', 'I-05'],
    ['dot-dot', '/..', 'I-05'],
    ['dot-dot-inside', '/a/../b', 'I-05'],
    ['percent-encoded-dots', '/%2e%2e/b', 'I-05'],
    ['percent-encoded-slash', '/a%2fb', 'I-05'],
    ['percent-encoded-letter', '/%61', 'I-05'],
    ['query', '/a?q=1', 'I-01'],
    ['empty-query', '/a?', 'I-01'],
    ['fragment', '/a#f', 'I-01'],
    ['empty-fragment', '/a#', 'I-01'],
  ] as const) {
    add('ID_PATH_INVALID', what, clause, `${START}td${path}`);
  }
  return cases;
}
