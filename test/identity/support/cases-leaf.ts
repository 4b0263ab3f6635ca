import 'reflect-metadata';
import { generateKeyPairSync } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import type { SvidCode } from '#identity/codes.ts';
import {
  CLIENT_AUTH,
  createRoot,
  type Issued,
  issue,
  minutes,
  SERVER_AUTH,
  SIGNATURE,
  uri,
  type Wish,
} from './authority.ts';
import { type Case, ID, TRUST_DOMAIN } from './case.ts';
import { resign } from './der-edit.ts';

const { KeyUsageFlags } = x509;
const ANY_USE = '2.5.29.37.0';
const ecdsaSha1 = Buffer.from('300906072a8648ce3d0401', 'hex');

/** What a leaf says, under a root that is beyond doubt. */
export async function leafVectors(): Promise<readonly Case[]> {
  const root = await createRoot(TRUST_DOMAIN);
  const bundles = { [TRUST_DOMAIN]: [root] };
  const cases: Case[] = [];
  const leaf = (wish: Wish): Promise<Issued> => issue(root, { names: [uri(ID)], ...wish });
  async function good(what: string, clause: string, wish: Wish, id = ID): Promise<void> {
    const chain = [await leaf(wish)];
    // RFC 5280 4.1.2.5 counts the last second in; OpenSSL does not.
    const openssl = what === 'last-second' ? undefined : 'accepts';
    cases.push({ expected: 'OK', what, clause, chain, bundles, id, openssl });
  }
  async function bad(
    expected: SvidCode,
    what: string,
    clause: string,
    wish: Wish,
    openssl?: 'accepts' | 'rejects',
  ): Promise<void> {
    const chain = [await leaf(wish)];
    cases.push({ expected, what, clause, chain, bundles, ...(openssl && { openssl }) });
  }
  const rsa = (modulusLength: number) => generateKeyPairSync('rsa', { modulusLength });
  const longId = (bytes: number) => {
    const start = `spiffe://${TRUST_DOMAIN}/`;
    return `${start}${'a'.repeat(bytes - start.length)}`;
  };

  await good('plain', 'X-01 X-02 X-05 X-06 X-07', {});
  await good('with-subject', 'X-02', { subject: 'C=US, O=SPIRE' });
  await good('san-critical-with-subject', 'X-02', { subject: 'O=x', namesCritical: true });
  await good('dns-name-first', 'X-01', { names: [{ type: 'dns', value: 'a.example' }, uri(ID)] });
  await good('email-name-too', 'X-01', {
    names: [uri(ID), { type: 'email', value: 'a@b.example' }],
  });
  // A library that prints names as text can be made to show a URI that is part of a DNS name.
  await good('dns-name-spells-a-uri', 'X-01', {
    names: [{ type: 'dns', value: 'x, URI:spiffe://city.example/agent/admin' }, uri(ID)],
  });
  await good('no-extended-key-usage', 'X-07', { extended: null });
  await good('more-extended-key-usage', 'X-07', {
    extended: [CLIENT_AUTH, x509.ExtendedKeyUsage.codeSigning, SERVER_AUTH],
  });
  await good('no-basic-constraints', 'X-05', { ca: null });
  await good('key-encipherment-too', 'X-06', { usage: SIGNATURE | KeyUsageFlags.keyEncipherment });
  await good('id-of-2048-bytes', 'I-06', { names: [uri(longId(2048))] }, longId(2048));
  await good('rsa-2048-key', 'X-09', { keys: rsa(2048) });
  await good('last-second', 'XV-01', { notAfter: minutes(0) });
  await good('first-second', 'XV-01', { notBefore: minutes(0) });

  await bad('SVID_SAN_MISSING', 'no-name', 'X-01', { names: [], subject: 'CN=x' }, 'accepts');
  await bad('SVID_SAN_MISSING', 'email-only', 'X-01', {
    names: [{ type: 'email', value: 'a@b.example' }],
  });
  await bad('SVID_SAN_MISSING', 'id-in-common-name', 'X-01', {
    names: [{ type: 'dns', value: 'a.example' }],
    subject: `CN=${ID}`,
  });
  const two = [uri(ID), uri('spiffe://city.example/agent/action/north/a')];
  await bad('SVID_SAN_MULTIPLE', 'two-ids', 'XV-03', { names: two }, 'accepts');
  await bad('SVID_SAN_MULTIPLE', 'same-id-twice', 'XV-03', { names: [uri(ID), uri(ID)] });
  await bad('SVID_SAN_MULTIPLE', 'https-first', 'XV-03', { names: [uri('https://a.b/'), uri(ID)] });
  await bad('SVID_SAN_MULTIPLE', 'dns-between', 'XV-03', {
    names: [uri(ID), { type: 'dns', value: 'a.example' }, uri('https://a.example/')],
  });
  await bad('SVID_SAN_NOT_CRITICAL', 'empty-subject', 'X-02', { namesCritical: false }, 'rejects');
  const ids = {
    https: 'https://city.example/agent/a',
    'upper-case-scheme': 'SPIFFE://city.example/agent/a',
    'upper-case-domain': 'spiffe://City.example/agent/a',
    query: 'spiffe://city.example/agent/a?x=1',
    fragment: 'spiffe://city.example/agent/a#x',
    port: 'spiffe://city.example:443/agent/a',
    userinfo: 'spiffe://a@city.example/agent/a',
    'percent-encoding': 'spiffe://city.example/agent/%61',
    'dot-segment': 'spiffe://city.example/agent/../admin',
    'trailing-slash': 'spiffe://city.example/agent/',
    'root-slash': 'spiffe://city.example/',
    'no-domain': 'spiffe:///agent/a',
    'nul-byte': 'spiffe://city.example/agent/a\0b',
    '2049-bytes': longId(2049),
  };
  for (const [what, id] of Object.entries(ids)) {
    await bad('SVID_ID_INVALID', what, 'XV-03 I-01 I-02 I-03 I-05 I-06', { names: [uri(id)] });
  }
  await bad('SVID_ID_NO_PATH', 'trust-domain', 'XV-03', { names: [uri('spiffe://city.example')] });
  await bad('SVID_TRUST_DOMAIN_UNKNOWN', 'foreign-id', 'XV-04', {
    names: [uri('spiffe://other.example/agent/a')],
  });

  const signer = SIGNATURE | KeyUsageFlags.keyCertSign;
  await bad('SVID_LEAF_IS_CA', 'with-key-cert-sign', 'XV-02', { ca: true, usage: signer });
  // Node's own `ca` property says false here.
  await bad('SVID_LEAF_IS_CA', 'without-key-cert-sign', 'XV-02', { ca: true });
  await bad('SVID_KEY_USAGE_MISSING', 'leaf', 'X-06', { usage: null });
  await bad('SVID_KEY_USAGE_NOT_CRITICAL', 'leaf', 'X-06', { usageCritical: false });
  await bad('SVID_KEY_USAGE_SIGNER', 'key-cert-sign', 'XV-02', { usage: signer }, 'rejects');
  await bad('SVID_KEY_USAGE_SIGNER', 'crl-sign', 'XV-02', {
    usage: SIGNATURE | KeyUsageFlags.cRLSign,
  });
  await bad('SVID_KEY_USAGE_NO_SIGNATURE', 'key-encipherment', 'X-06', {
    usage: KeyUsageFlags.keyEncipherment,
  });
  await bad('SVID_EXTENDED_KEY_USAGE', 'server-only', 'X-07', { extended: [SERVER_AUTH] });
  await bad('SVID_EXTENDED_KEY_USAGE', 'client-only', 'X-07', { extended: [CLIENT_AUTH] });
  await bad('SVID_EXTENDED_KEY_USAGE', 'any', 'X-07', { extended: [ANY_USE] });
  const unknown = new x509.Extension('1.3.6.1.4.1.55555.1', true, Buffer.from('0500', 'hex'));
  await bad('SVID_CRITICAL_EXTENSION', 'unknown', 'XV-01', { more: [unknown] }, 'rejects');
  const harmless = new x509.Extension('1.3.6.1.4.1.55555.1', false, Buffer.from('0500', 'hex'));
  await good('unknown-extension', 'XV-01', { more: [harmless] });

  await bad('SVID_ALGORITHM_WEAK', 'rsa-1024-key', 'XV-01', { keys: rsa(1024) });
  const koblitz = generateKeyPairSync('ec', { namedCurve: 'secp256k1' });
  await bad('SVID_ALGORITHM_WEAK', 'secp256k1-key', 'XV-01', { keys: koblitz });
  const honest = await leaf({});
  const sha1 = resign(honest.der, root.privateKey, (fields) => fields.with(2, ecdsaSha1), 'sha1');
  cases.push({
    expected: 'SVID_ALGORITHM_WEAK',
    what: 'sha-1',
    clause: 'XV-01',
    chain: [sha1],
    bundles,
  });

  await bad(
    'SVID_EXPIRED',
    'a-second-ago',
    'XV-01',
    { notAfter: new Date(minutes(0).getTime() - 1000) },
    'rejects',
  );
  await bad(
    'SVID_NOT_YET_VALID',
    'in-a-second',
    'XV-01',
    { notBefore: new Date(minutes(0).getTime() + 1000) },
    'rejects',
  );
  return cases;
}
