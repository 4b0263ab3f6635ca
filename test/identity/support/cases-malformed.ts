import { X509Certificate } from 'node:crypto';
import { createRoot, issue, uri } from './authority.ts';
import { type Case, ID, TRUST_DOMAIN } from './case.ts';
import {
  der,
  extension,
  extensionsOf,
  FALSE,
  oid,
  resign,
  TRUE,
  withExtensions,
} from './der-edit.ts';

const SAN = '2.5.29.17';
const KEY_USAGE = '2.5.29.15';
const BASIC_CONSTRAINTS = '2.5.29.19';

/** Encodings that some reader would take for a certificate. Each is signed where that is possible. */
export async function malformedVectors(): Promise<readonly Case[]> {
  const root = await createRoot(TRUST_DOMAIN);
  const bundles = { [TRUST_DOMAIN]: [root] };
  const leaf = await issue(root, { names: [uri(ID)], subject: 'CN=leaf' });
  const { privateKey } = root;
  const field = (index: number, value: Uint8Array) =>
    resign(leaf.der, privateKey, (fields) => fields.with(index, value));
  const swap = (dotted: string, replacement: Uint8Array) =>
    withExtensions(leaf.der, privateKey, (all) =>
      all.map((one) => (Buffer.from(one).includes(oid(dotted)) ? replacement : one)),
    );
  const add = (more: Uint8Array) => withExtensions(leaf.der, privateKey, (all) => [...all, more]);
  const name = (text: string, tag = 0x86) => der(tag, Buffer.from(text, 'latin1'));
  const time = (tag: number, text: string) => der(tag, Buffer.from(text));
  const ends = (from: Uint8Array, to: Uint8Array) => field(4, der(0x30, from, to));
  const utc = (text: string) => time(0x17, text);
  const from = utc('300615115900Z');
  const length = leaf.der.length - 4;

  const chains: Record<string, Uint8Array> = {
    'no-bytes': new Uint8Array(),
    'a-pem-text': Buffer.from(new X509Certificate(leaf.der).toString()),
    'a-byte-behind': Buffer.concat([leaf.der, Buffer.from([0])]),
    'two-certificates-in-one': Buffer.concat([leaf.der, root.der]),
    'cut-short': leaf.der.subarray(0, -1),
    'indefinite-length': Buffer.concat([
      Buffer.from([0x30, 0x80]),
      leaf.der.subarray(4),
      Buffer.alloc(2),
    ]),
    'long-form-length': Buffer.concat([
      Buffer.from([0x30, 0x83, 0, length >> 8, length & 0xff]),
      leaf.der.subarray(4),
    ]),
    'version-1': resign(leaf.der, privateKey, (fields) => fields.slice(1, 7)),
    'version-2': field(0, der(0xa0, der(2, Buffer.from([1])))),
    'no-extensions': resign(leaf.der, privateKey, (fields) => fields.slice(0, 7)),
    'serial-zero': field(1, der(2, Buffer.from([0]))),
    'serial-negative': field(1, der(2, Buffer.from([0x80, 1]))),
    'serial-padded': field(1, der(2, Buffer.from([0, 1]))),
    'serial-too-long': field(1, der(2, Buffer.alloc(22, 1))),
    'two-algorithms': twoAlgorithms(),
    'unused-bits-in-signature': unusedBits(),
    'utc-time-with-offset': ends(from, utc('300615130000+0000')),
    'utc-time-without-seconds': ends(from, utc('3006151300Z')),
    'time-that-is-no-date': ends(from, utc('300231130000Z')),
    'generalized-time-before-2050': ends(from, time(0x18, '20300615130000Z')),
    'generalized-time-with-fraction': ends(from, time(0x18, '20500615130000.5Z')),
    'second-san': add(extension(SAN, der(0x30, name(`${ID}x`)))),
    'second-san-same': add(extension(SAN, der(0x30, name(ID)))),
    'second-key-usage': add(extension(KEY_USAGE, Buffer.from('03020780', 'hex'), TRUE)),
    'empty-san': swap(SAN, extension(SAN, der(0x30))),
    'constructed-uri': swap(SAN, extension(SAN, der(0x30, der(0xa6, name(ID, 0x16))))),
    'san-of-unknown-kind': swap(SAN, extension(SAN, der(0x30, name(ID), name('x', 0x89)))),
    'san-with-universal-tag': swap(SAN, extension(SAN, der(0x30, name(ID), name(ID, 0x16)))),
    'bytes-behind-san': swap(SAN, extension(SAN, Buffer.concat([der(0x30, name(ID)), FALSE]))),
    'critical-written-false': swap(SAN, extension(SAN, der(0x30, name(ID)), FALSE)),
    'critical-true-as-1': swap(SAN, extension(SAN, der(0x30, name(ID)), der(1, Buffer.from([1])))),
    'ca-written-false': swap(
      BASIC_CONSTRAINTS,
      extension(BASIC_CONSTRAINTS, der(0x30, FALSE), TRUE),
    ),
    'path-length-without-ca': swap(
      BASIC_CONSTRAINTS,
      extension(BASIC_CONSTRAINTS, der(0x30, der(2, Buffer.from([0]))), TRUE),
    ),
    'key-usage-without-bits': swap(
      KEY_USAGE,
      extension(KEY_USAGE, Buffer.from('030100', 'hex'), TRUE),
    ),
    // 0x84 with seven unused bits hides keyCertSign from readers that mask, not from those that do not.
    'key-usage-hidden-bits': swap(
      KEY_USAGE,
      extension(KEY_USAGE, Buffer.from('03020784', 'hex'), TRUE),
    ),
    'key-usage-trailing-zeros': swap(
      KEY_USAGE,
      extension(KEY_USAGE, Buffer.from('03020080', 'hex'), TRUE),
    ),
    'too-many-extensions': withExtensions(leaf.der, privateKey, (all) => [
      ...all,
      ...Array.from({ length: 30 }, (_, i) =>
        extension(`1.3.6.1.4.1.55555.${i}`, Buffer.from('0500', 'hex')),
      ),
    ]),
    'too-many-names': swap(
      SAN,
      extension(SAN, der(0x30, name(ID), ...Array(64).fill(name('x', 0x82)))),
    ),
    'unknown-curve': field(6, unknownCurve()),
  };
  const cases: Case[] = Object.entries(chains).map(([what, bytes]) => ({
    expected: 'SVID_MALFORMED',
    what,
    clause: 'XV-01 RFC5280-4.1',
    chain: [bytes],
    bundles,
  }));
  // The honest twin of every edit above: the same road, nothing changed.
  const twin = withExtensions(leaf.der, privateKey, () => extensionsOf(leaf.der));
  cases.push({
    expected: 'OK',
    what: 'signed-again-unchanged',
    clause: 'XV-01',
    chain: [twin],
    bundles,
    id: ID,
    openssl: 'accepts',
  });
  const badSigner = Buffer.concat([root.der, Buffer.from([0])]);
  cases.push({
    expected: 'SVID_MALFORMED',
    what: 'signer',
    clause: 'XV-01',
    chain: [leaf, badSigner],
    bundles,
  });
  return cases;

  function twoAlgorithms(): Buffer {
    const copy = Buffer.from(leaf.der);
    // ecdsa-with-SHA256 appears inside, then outside; the outer one becomes ecdsa-with-SHA384.
    const at = copy.lastIndexOf(Buffer.from('2a8648ce3d040302', 'hex'));
    copy[at + 7] = 3;
    return copy;
  }

  function unusedBits(): Buffer {
    const copy = Buffer.from(leaf.der);
    const at = copy.lastIndexOf(Buffer.from('2a8648ce3d040302', 'hex')) + 8;
    copy[at + 2] = 1;
    return copy;
  }

  function unknownCurve(): Buffer {
    const algorithm = der(0x30, oid('1.2.840.10045.2.1'), oid('1.3.132.0.99'));
    return der(0x30, algorithm, der(3, Buffer.concat([Buffer.from([0, 4]), Buffer.alloc(64, 1)])));
  }
}
