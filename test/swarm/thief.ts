import { createPrivateKey, generateKeyPairSync, randomBytes, X509Certificate } from 'node:crypto';
import { copyFileSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { bundleFromCertificates } from '#identity/bundle.ts';
import { type Authority, loadAuthority } from '#identity/issuer/authority.ts';
import { issueLeaf } from '#identity/issuer/leaf.ts';
import { createSealer, loadSecret } from '#identity/issuer/sealing.ts';
import { openStore } from '#identity/issuer/store.ts';
import { parsePublicKey } from '#identity/issuer/workload-key.ts';
import { spiffeId } from '#identity/spiffe-id.ts';
import type { X509Svid } from '#identity/svid.ts';
import { type TestSource, testSource } from '#test/support/test-ca.ts';

/** Whoever has read the issuer's files: the key of the authority that the whole swarm trusts. */
export interface Thief {
  /** A valid SVID of any identity, over a key of the thief's own. */
  mint(id: string): X509Svid;
  source(id: string): TestSource;
}

/** @param from the state folder of a running issuer; @param to where the copies go */
export function stealAuthority(trustDomain: string, from: string, to: string): Thief {
  mkdirSync(to, { recursive: true });
  for (const name of readdirSync(from)) copyFileSync(join(from, name), join(to, name));
  const authority = activeOf(trustDomain, to);
  const bundle = bundleFromCertificates(trustDomain, [authority.certificate]);
  if (!bundle.ok) throw new Error(bundle.detail);
  const bundles = new Map([[trustDomain, bundle.value]]);
  const mint = (id: string): X509Svid => {
    const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const key = parsePublicKey(pair.publicKey.export({ type: 'spki', format: 'der' }));
    if (key === undefined) throw new Error('no P-256 key');
    const request = { id: spiffeId(id), publicKey: key.spki, ttlSeconds: 3600 };
    const leaf = issueLeaf(request, authority, new Date(), randomBytes(16));
    if (!leaf.ok) throw new Error(leaf.detail);
    const { certificate, thumbprint, serial } = leaf.value;
    const { validFromDate, validToDate } = new X509Certificate(certificate);
    return {
      id: spiffeId(id),
      certificates: [certificate],
      key: createPrivateKey(pair.privateKey.export({ type: 'pkcs8', format: 'pem' })),
      notBefore: validFromDate,
      notAfter: validToDate,
      serial,
      thumbprint,
      hint: '',
    };
  };
  return { mint, source: (id) => testSource(mint(id), bundles) };
}

function activeOf(trustDomain: string, folder: string): Authority {
  const store = openStore(folder);
  const secret = loadSecret(join(folder, 'issuer.key'));
  if (!store.ok || !secret.ok) throw new Error('the copies cannot be opened');
  const row = store.value.authorities().find(({ state }) => state === 'active');
  const key = row && createSealer(secret.value).open(row.sealedKey, row.id);
  store.value.close();
  if (row === undefined || key === undefined) throw new Error('no key to steal');
  return loadAuthority(trustDomain, row.certificate, key);
}
