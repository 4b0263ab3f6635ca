import 'reflect-metadata';
import { generateKeyPairSync } from 'node:crypto';
import * as x509 from '@peculiar/x509';
import {
  createRoot,
  type Issued,
  issue,
  issueCa,
  minutes,
  p256,
  SIGNATURE,
  SIGNER,
  uri,
  type Wish,
} from './authority.ts';
import { type Case, ID, TRUST_DOMAIN } from './case.ts';
import { der, extension, TRUE, withExtensions } from './der-edit.ts';

const NAME_CONSTRAINTS = '2.5.29.30';

/** Who signed: an honest leaf at the end of every sort of chain. */
export async function pathVectors(): Promise<readonly Case[]> {
  const cases: Case[] = [];
  const root = await createRoot(TRUST_DOMAIN);
  const bundles = { [TRUST_DOMAIN]: [root] };
  const leafOf = (signer: Issued, wish: Wish = {}) => issue(signer, { names: [uri(ID)], ...wish });
  const push = (
    expected: Case['expected'],
    what: string,
    clause: string,
    chain: Case['chain'],
    more: Partial<Case> = {},
  ) => {
    const openssl = expected === 'OK' ? 'accepts' : 'rejects';
    cases.push({
      expected,
      what,
      clause,
      chain,
      bundles,
      openssl,
      ...(expected === 'OK' && { id: ID }),
      ...more,
    });
  };

  const middle = await issueCa(root, {
    subject: 'CN=middle',
    names: [uri('spiffe://city.example')],
  });
  const viaMiddle = await leafOf(middle);
  push('OK', 'intermediate', 'XV-01 A-05', [viaMiddle, middle]);
  push('OK', 'root-sent-along', 'XV-01', [viaMiddle, middle, root]);
  push('OK', 'intermediate-without-id', 'X-03', await chainVia(root, { names: [] }));
  push('OK', 'anchor-not-self-signed', 'XV-01', [viaMiddle], {
    bundles: { [TRUST_DOMAIN]: [middle] },
  });
  const stranger = await createRoot('stranger.example');
  push('OK', 'unrelated-certificate-behind', 'XV-01', [await leafOf(root), stranger]);

  const renewed = await createRoot(TRUST_DOMAIN);
  const both = { [TRUST_DOMAIN]: [renewed, root] };
  push('OK', 'two-authorities-of-one-name', 'XV-01', [await leafOf(root)], { bundles: both });
  const old = await createRoot(TRUST_DOMAIN, { keys: root, notAfter: minutes(-1) });
  push('OK', 'expired-twin-authority', 'XV-01', [await leafOf(root)], {
    bundles: { [TRUST_DOMAIN]: [old, root] },
  });

  push('SVID_CHAIN_EMPTY', 'no-certificate', 'A-05', [], { openssl: undefined });
  const many = Array.from({ length: 9 }, () => root);
  push('SVID_CHAIN_TOO_LONG', 'nine-certificates', 'XV-01', many, { openssl: undefined });
  const big = new x509.Extension('1.3.6.1.4.1.55555.1', false, der(4, Buffer.alloc(17_000)));
  const huge = await leafOf(root, { more: [big] });
  push('SVID_CHAIN_TOO_LONG', 'seventeen-kilobytes', 'XV-01', [huge], { openssl: undefined });

  push('SVID_SIGNER_UNKNOWN', 'intermediate-missing', 'XV-01', [viaMiddle]);
  push('SVID_SIGNER_UNKNOWN', 'wrong-order', 'XV-01', [viaMiddle, root, middle], {
    openssl: undefined,
  });
  push('SVID_SIGNER_UNKNOWN', 'revoked-authority', 'B-01', [await leafOf(root)], {
    bundles: { [TRUST_DOMAIN]: [] },
    openssl: undefined,
  });
  push('SVID_SIGNER_UNKNOWN', 'self-signed-leaf', 'XV-01', [await selfSigned()]);
  // The root of another domain is held, and must not speak for this one.
  const other = await createRoot('other.example');
  const two = { [TRUST_DOMAIN]: [root], 'other.example': [other] };
  push('SVID_SIGNER_UNKNOWN', 'other-domains-root', 'XV-01 B-05', [await leafOf(other)], {
    bundles: two,
  });
  push(
    'SVID_SIGNER_UNKNOWN',
    'other-domains-root-sent-along',
    'XV-01 B-05',
    [await leafOf(other), other],
    { bundles: two },
  );
  const namesake = await createRoot('other.example', { subject: root.name });
  push(
    'SVID_SIGNATURE_INVALID',
    'other-domains-root-of-one-name',
    'XV-01 B-05',
    [await leafOf(namesake)],
    { bundles: { [TRUST_DOMAIN]: [root], 'other.example': [namesake] } },
  );
  push(
    'SVID_TRUST_DOMAIN_UNKNOWN',
    'other-domain-signed-here',
    'XV-04',
    [await issue(root, { names: [uri('spiffe://third.example/a')] })],
    { openssl: undefined },
  );
  push(
    'OK',
    'foreign-id-by-its-own-root',
    'XV-04 A-13',
    [await issue(other, { names: [uri('spiffe://other.example/a')] })],
    { bundles: two, id: 'spiffe://other.example/a' },
  );

  const forged = { ...(await createRoot(TRUST_DOMAIN)), name: root.name };
  push('SVID_SIGNATURE_INVALID', 'other-key-same-name', 'XV-01', [await leafOf(forged)]);
  const honest = await leafOf(root);
  push('SVID_SIGNATURE_INVALID', 'id-changed-after-signing', 'XV-01 I-09', [
    replaced(honest.der, 'cam-1', 'cam-2'),
  ]);
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
  push('SVID_SIGNATURE_INVALID', 'signer-has-another-kind-of-key', 'XV-01', [honest], {
    bundles: { [TRUST_DOMAIN]: [await issueCa(root, { subject: root.name, keys: rsa })] },
  });

  const workload = await leafOf(root, { subject: 'CN=workload' });
  push('SVID_SIGNER_NOT_CA', 'a-workload-signs', 'X-03', [await leafOf(workload), workload]);
  push(
    'SVID_SIGNER_NOT_CA',
    'no-key-cert-sign',
    'X-03',
    await chainVia(root, { usage: SIGNATURE }),
  );
  push('SVID_SIGNER_NOT_CA', 'no-basic-constraints', 'X-03', await chainVia(root, { ca: null }));
  push('SVID_SIGNER_NOT_CA', 'workload-in-the-bundle', 'X-03', [await leafOf(workload)], {
    bundles: { [TRUST_DOMAIN]: [workload] },
  });
  push('SVID_KEY_USAGE_MISSING', 'signer', 'X-06', await chainVia(root, { usage: null }));
  push(
    'SVID_KEY_USAGE_NOT_CRITICAL',
    'signer',
    'X-06',
    await chainVia(root, { usageCritical: false }),
    { openssl: undefined },
  );
  const mail = [x509.ExtendedKeyUsage.emailProtection];
  push(
    'SVID_EXTENDED_KEY_USAGE',
    'signer-for-mail',
    'X-07',
    await chainVia(root, { extended: mail }),
    { openssl: undefined },
  );
  push(
    'SVID_SIGNER_NOT_VALID',
    'expired-intermediate',
    'XV-01',
    await chainVia(root, { notAfter: minutes(-1) }),
  );
  push(
    'SVID_SIGNER_NOT_VALID',
    'intermediate-of-tomorrow',
    'XV-01',
    await chainVia(root, { notBefore: minutes(1) }),
  );
  const expired = await createRoot(TRUST_DOMAIN, { notAfter: minutes(-1) });
  push('SVID_SIGNER_NOT_VALID', 'expired-root', 'XV-01', [await leafOf(expired)], {
    bundles: { [TRUST_DOMAIN]: [expired] },
  });
  push(
    'SVID_SIGNER_ID',
    'intermediate-is-a-workload',
    'X-03',
    await chainVia(root, { names: [uri(ID)] }),
    { openssl: undefined },
  );
  const unknown = new x509.Extension('1.3.6.1.4.1.55555.1', true, Buffer.from('0500', 'hex'));
  push(
    'SVID_CRITICAL_EXTENSION',
    'unknown-on-a-signer',
    'XV-01',
    await chainVia(root, { more: [unknown] }),
  );
  const constrained = await issueCa(root, { subject: 'CN=constrained' });
  // permittedSubtrees: URIs of host city.example
  const limits = der(0x30, der(0xa0, der(0x30, der(0x86, Buffer.from('city.example')))));
  const limited = withExtensions(constrained.der, root.privateKey, (all) => [
    ...all,
    extension(NAME_CONSTRAINTS, limits, TRUE),
  ]);
  push(
    'SVID_CRITICAL_EXTENSION',
    'name-constraints',
    'X-08',
    [await leafOf(constrained), limited],
    { openssl: undefined },
  );

  const loosely = withExtensions(constrained.der, root.privateKey, (all) => [
    ...all,
    extension(NAME_CONSTRAINTS, limits),
  ]);
  push(
    'SVID_CRITICAL_EXTENSION',
    'name-constraints-not-critical',
    'X-08',
    [await leafOf(constrained), loosely],
    { openssl: undefined },
  );
  // Whoever holds an authority's key is everybody already; its certificate still names no workload.
  push('SVID_LEAF_IS_CA', 'the-authority-itself', 'X-04', [root], { openssl: undefined });
  push('SVID_LEAF_IS_CA', 'an-intermediate-itself', 'X-04', [middle], { openssl: undefined });

  const short = await createRoot(TRUST_DOMAIN, { pathLength: 0 });
  const shortOnly = { [TRUST_DOMAIN]: [short] };
  push('OK', 'path-length-0', 'X-05', [await leafOf(short)], { bundles: shortOnly });
  push('SVID_PATH_LENGTH', 'root-allows-none', 'XV-01', await chainVia(short, {}), {
    bundles: shortOnly,
  });
  const first = await issueCa(root, { subject: 'CN=first', pathLength: 0 });
  push('OK', 'intermediate-path-length-0', 'X-05', [await leafOf(first), first]);
  push('SVID_PATH_LENGTH', 'intermediate-allows-none', 'XV-01', [
    ...(await chainVia(first, {})),
    first,
  ]);
  const weak = generateKeyPairSync('rsa', { modulusLength: 1024 });
  const weakRoot = await issueCa(root, { subject: 'CN=weak', keys: weak });
  const byWeak = { ...weakRoot, ...p256() };
  push('SVID_ALGORITHM_WEAK', 'rsa-1024-signer', 'XV-01', [await leafOf(byWeak), weakRoot]);
  return cases;

  async function chainVia(signer: Issued, wish: Wish): Promise<readonly Issued[]> {
    const via = await issueCa(signer, { subject: 'CN=via', usage: SIGNER, ...wish });
    return [await leafOf(via), via];
  }

  async function selfSigned(): Promise<Issued> {
    const keys = p256();
    return leafOf({ ...keys, der: Buffer.alloc(0), name: 'CN=self' }, { keys, subject: 'CN=self' });
  }
}

/** Puts other bytes of the same length in place, and leaves the signature as it was. */
function replaced(bytes: Buffer, from: string, to: string): Buffer {
  const at = bytes.indexOf(from);
  const copy = Buffer.from(bytes);
  copy.write(to, at, 'latin1');
  return copy;
}
