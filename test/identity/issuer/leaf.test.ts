import 'reflect-metadata';
import { spawnSync } from 'node:child_process';
import { createHash, randomBytes, webcrypto, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect, createServer } from 'node:tls';
import * as x509 from '@peculiar/x509';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Authority, createAuthority } from '#identity/issuer/authority.ts';
import { issueLeaf, type Leaf, type LeafRequest } from '#identity/issuer/leaf.ts';
import { createLeafIssuer } from '#identity/issuer/leaf-issuer.ts';
import { createKeyMaker, type P256Spki, spkiOf } from '#identity/issuer/workload-key.ts';
import { spiffeId } from '#identity/spiffe-id.ts';
import { keyPair, TRUST_DOMAIN } from './harness.ts';

const ID = spiffeId(`spiffe://${TRUST_DOMAIN}/agent/sensor/north/cam-1`);
const pem = (der: Uint8Array): string => new X509Certificate(der).toString();

describe('X.509-SVID leaf', () => {
  let authority: Authority;
  const pair = keyPair();
  const now = new Date();
  beforeAll(async () => {
    authority = await createAuthority(TRUST_DOMAIN, now, randomBytes(16));
  });

  function issue(changes: Partial<LeafRequest> = {}, at = now): Leaf {
    const leaf = attempt(changes, at);
    if (!leaf.ok) throw new Error(leaf.detail);
    return leaf.value;
  }
  function attempt(changes: Partial<LeafRequest> = {}, at = now) {
    const request = { id: ID, publicKey: spki(), ttlSeconds: 20, ...changes };
    return issueLeaf(request, authority, at, randomBytes(16));
  }

  /** For whoever looks at a clock of their own: 20 s from when this file was read may be over. */
  const live = (changes: Partial<LeafRequest>) => issue({ ttlSeconds: 3600, ...changes });

  function spki(): P256Spki {
    const known = spkiOf(pair.publicKey);
    if (known === undefined) throw new Error('not a P-256 key');
    return known;
  }

  /** The same certificate by the reference library: everything signed must agree. */
  async function reference(leaf: Leaf, names: x509.JsonGeneralName[]): Promise<Buffer> {
    const params = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
    const spki = pair.publicKey.export({ type: 'spki', format: 'der' });
    const pkcs8 = authority.key.export({ type: 'pkcs8', format: 'der' });
    const { subtle } = webcrypto;
    const certificate = await x509.X509CertificateGenerator.create({
      serialNumber: leaf.serial,
      issuer: new x509.X509Certificate(new Uint8Array(authority.certificate)).subjectName,
      notBefore: leaf.notBefore,
      notAfter: leaf.notAfter,
      signingAlgorithm: params,
      publicKey: await subtle.importKey('spki', spki, params, true, ['verify']),
      signingKey: await subtle.importKey('pkcs8', pkcs8, params, true, ['sign']),
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension(
          [x509.ExtendedKeyUsage.serverAuth, x509.ExtendedKeyUsage.clientAuth],
          false,
        ),
        new x509.SubjectKeyIdentifierExtension(
          createHash('sha1')
            .update(pair.publicKey.export({ type: 'spki', format: 'der' }).subarray(-65))
            .digest('hex'),
        ),
        new x509.AuthorityKeyIdentifierExtension(authority.id),
        new x509.SubjectAlternativeNameExtension(names, true),
      ],
    });
    return Buffer.from(certificate.rawData);
  }

  /** The signed part: ECDSA signatures differ from run to run. */
  function signedPart(certificate: Uint8Array): string {
    const bytes = Buffer.from(certificate);
    const size = bytes.readUInt16BE(6) + 4;
    return bytes.subarray(4, 4 + size).toString('hex');
  }

  test('agrees byte for byte with the reference library (X-01, X-02, X-03, X-04, X-05, X-06, X-07, X-08, X-09)', async () => {
    const plain = issue();
    const names: x509.JsonGeneralName[] = [{ type: 'url', value: ID }];
    expect(signedPart(plain.certificate)).toBe(signedPart(await reference(plain, names)));
    const dns = ['localhost', 'nats.city.example'];
    const ip = ['127.0.0.1', '::1', 'fd00:0:1::7'];
    const rich = issue({ dns, ip });
    const all: x509.JsonGeneralName[] = [
      ...names,
      ...dns.map((value) => ({ type: 'dns' as const, value })),
      ...ip.map((value) => ({ type: 'ip' as const, value })),
    ];
    expect(signedPart(rich.certificate)).toBe(signedPart(await reference(rich, all)));
  });

  test('any IDs, serials and lifetimes agree with the reference library', async () => {
    const segment = fc.stringMatching(/^[a-zA-Z0-9_-]{1,40}$/);
    const paths = fc.array(segment, { minLength: 1, maxLength: 12 });
    await fc.assert(
      fc.asyncProperty(paths, fc.integer({ min: 1, max: 86_000 }), async (path, ttlSeconds) => {
        const id = spiffeId(`spiffe://${TRUST_DOMAIN}/${path.join('/')}`);
        const leaf = issue({ id, ttlSeconds });
        const other = await reference(leaf, [{ type: 'url', value: id }]);
        expect(signedPart(leaf.certificate)).toBe(signedPart(other));
      }),
      { numRuns: 50 },
    );
  });

  test('one that issues over and over writes what is written anew, whatever comes in which order', async () => {
    const other = await createAuthority(TRUST_DOMAIN, now, randomBytes(16));
    const issuer = createLeafIssuer();
    const makeKey = createKeyMaker();
    const names = fc.record({
      id: fc.constantFrom(ID, spiffeId(`spiffe://${TRUST_DOMAIN}/a`)),
      dns: fc.constantFrom([], ['localhost'], ['a.example', 'b.example']),
      ip: fc.constantFrom([], ['127.0.0.1']),
      ttlSeconds: fc.integer({ min: 1, max: 90_000 }),
    });
    // One side of 2050, the other, and across: X.509 spells times in two ways.
    const times = [now, new Date('2049-12-31T23:59:55Z'), new Date('2050-06-01T00:00:00Z')];
    const signers = [authority, other].flatMap((signer) => [
      { ...signer },
      { ...signer, notAfter: new Date('2099-01-01T00:00:00Z') },
    ]);
    const requests = fc.array(
      fc.tuple(names, fc.constantFrom(...times), fc.constantFrom(...signers)),
      { minLength: 1, maxLength: 12 },
    );
    fc.assert(
      fc.property(requests, (all) => {
        for (const [request, at, signer] of all) {
          const [key, serial] = [makeKey().spki, randomBytes(16)];
          const whole = { ...request, publicKey: key };
          const [one, two] = [issuer, issueLeaf].map((issue) => issue(whole, signer, at, serial));
          if (!two?.ok || !one?.ok) {
            expect(one).toEqual(two);
            continue;
          }
          expect(signedPart(one.value.certificate)).toBe(signedPart(two.value.certificate));
          expect({ ...one.value, certificate: '', thumbprint: '' }).toEqual({
            ...two.value,
            certificate: '',
            thumbprint: '',
          });
          expect(new X509Certificate(one.value.certificate).serialNumber.toLowerCase()).toBe(
            one.value.serial,
          );
        }
      }),
      { numRuns: 60 },
    );
    const request = { id: ID, publicKey: spki(), ttlSeconds: 20 };
    for (const [change, code] of [
      [{ ttlSeconds: 0 }, 'LEAF_INVALID'],
      [{ id: spiffeId('spiffe://other.example/a') }, 'LEAF_INVALID'],
      [{ dns: ['*'] }, 'LEAF_INVALID'],
    ] as const) {
      expect(issuer(request, authority, now, randomBytes(16)).ok).toBe(true);
      const refused = issuer({ ...request, ...change }, authority, now, randomBytes(16));
      expect(refused).toMatchObject({ code });
    }
    // One and the same leaf is never written twice: the first stays what it was.
    const first = issuer(request, authority, now, randomBytes(16));
    if (!first.ok) throw new Error(first.detail);
    const before = Buffer.from(first.value.certificate).toString('hex');
    issuer(request, authority, now, randomBytes(16));
    expect(Buffer.from(first.value.certificate).toString('hex')).toBe(before);
    expect(new X509Certificate(first.value.certificate).verify(rootKey())).toBe(true);
  });
  const rootKey = () => new X509Certificate(authority.certificate).publicKey;

  test('openssl verify -x509_strict accepts it, and not under another authority', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'leaf-'));
    try {
      const other = await createAuthority(TRUST_DOMAIN, now, randomBytes(16));
      writeFileSync(join(folder, 'ca.pem'), pem(authority.certificate));
      writeFileSync(join(folder, 'other.pem'), pem(other.certificate));
      writeFileSync(join(folder, 'leaf.pem'), pem(live({ dns: ['localhost'] }).certificate));
      const verify = (ca: string, purpose: string) =>
        spawnSync(
          'openssl',
          ['verify', '-x509_strict', '-purpose', purpose, '-CAfile', ca, 'leaf.pem'],
          { cwd: folder, encoding: 'utf8' },
        );
      for (const purpose of ['sslserver', 'sslclient']) {
        expect(verify('ca.pem', purpose)).toMatchObject({ status: 0, stdout: 'leaf.pem: OK\n' });
        expect(verify('other.pem', purpose).status).not.toBe(0);
      }
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test('serves and authenticates in Node TLS on 127.0.0.1 and localhost', async () => {
    const key = pair.privateKey.export({ type: 'pkcs8', format: 'pem' });
    const cert = pem(live({ dns: ['localhost'], ip: ['127.0.0.1'] }).certificate);
    const ca = pem(authority.certificate);
    const server = createServer({ key, cert, ca, requestCert: true }, (socket) => {
      const { subjectaltname } = socket.getPeerCertificate();
      socket.end(`${socket.authorized} ${subjectaltname}`);
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    for (const servername of ['localhost', '']) {
      const client = connect({ host: '127.0.0.1', port, key, cert, ca, servername });
      const [data] = await once(client, 'data');
      expect(String(data)).toMatch(/^true URI:spiffe:\/\/city\.example\/agent/);
      client.destroy();
    }
    server.close();
  });

  test('lives from 10 s ago to its end, and never longer than the authority (X-09)', () => {
    const leaf = issue({ ttlSeconds: 20 });
    expect(now.getTime() - leaf.notBefore.getTime()).toBeGreaterThanOrEqual(10_000);
    expect(new X509Certificate(leaf.certificate).validToDate).toEqual(leaf.notAfter);
    const late = new Date(authority.notAfter.getTime() - 5000);
    expect(issue({ ttlSeconds: 20 }, late).notAfter).toEqual(authority.notAfter);
    expect(attempt({}, authority.notAfter)).toMatchObject({ code: 'AUTHORITY_EXPIRED' });
  });

  test('serial numbers are positive, constant in length and not repeated', () => {
    const serials = Array.from({ length: 200 }, () => issue().serial);
    expect(new Set(serials).size).toBe(200);
    for (const serial of serials) expect(serial).toMatch(/^[4-7][0-9a-f]{31}$/);
  });

  test.each<[string, () => Partial<LeafRequest>]>([
    ['an ID of another trust domain', () => ({ id: spiffeId('spiffe://other.example/a') })],
    ['an ID without a path (X-02)', () => ({ id: spiffeId(`spiffe://${TRUST_DOMAIN}`) })],
    ['a DNS name with a wildcard', () => ({ dns: ['*.example'] })],
    ['a DNS name with a NUL', () => ({ dns: ['localhost\0.evil'] })],
    ['an IPv6 zone', () => ({ ip: ['fe80::1%eth0'] })],
    ['no IP address', () => ({ ip: ['127.0.0.256'] })],
    ['no lifetime', () => ({ ttlSeconds: 0 })],
  ])('%s is refused', (_name, change) => {
    expect(attempt(change())).toMatchObject({ ok: false, code: 'LEAF_INVALID' });
    expect(attempt().ok).toBe(true);
  });
});
