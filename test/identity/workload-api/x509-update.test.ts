import { generateKeyPairSync } from 'node:crypto';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { X509SVIDResponseSchema } from '#identity/workload-api/generated/workload_pb.ts';
import { readX509Update } from '#identity/workload-api/x509-update.ts';
import { type Issued, issueCa } from '../support/authority.ts';
import { leafToday, OWN, pkcs8, rootToday, svidOf, today } from '../support/pushed.ts';
import type { ResponseInit } from '../support/workload-server.ts';

const ID = `spiffe://${OWN}/agent/sensor/north/cam-1`;
const SECOND = `spiffe://${OWN}/agent/sensor/north/cam-2`;
const none = new Uint8Array();
let root: Issued;
let leaf: Issued;
let foreign: Issued;

beforeAll(async () => {
  root = await rootToday();
  leaf = await leafToday(root, ID);
  foreign = await rootToday('other.example');
});

const read = (init: ResponseInit, trustDomain?: string) =>
  readX509Update(create(X509SVIDResponseSchema, init), trustDomain);

describe('a whole message', () => {
  test('two SVIDs: the first is the default, hints and chains are kept (A-05)', async () => {
    const middle = await issueCa(root, { subject: 'CN=middle', ...today() });
    const second = await leafToday(middle, SECOND);
    const x509Svid = Buffer.concat([second.der, middle.der]);
    const outcome = read({
      svids: [
        svidOf(leaf, ID, root, { hint: 'internal' }),
        svidOf(second, SECOND, root, { x509Svid, hint: 'external' }),
      ],
    });
    if (!outcome.ok) throw new Error(outcome.detail);
    const [one, two] = outcome.value.svids;
    expect(one).toMatchObject({ id: ID, hint: 'internal' });
    expect(two).toMatchObject({ id: SECOND, hint: 'external' });
    expect(two?.certificates.map((der) => Buffer.from(der))).toEqual([second.der, middle.der]);
    expect(outcome.value.skipped).toEqual([]);
  });

  test('of two SVIDs with one hint the first is taken (C-04)', async () => {
    const second = await leafToday(root, SECOND);
    const outcome = read({
      svids: [svidOf(leaf, ID, root, { hint: 'x' }), svidOf(second, SECOND, root, { hint: 'x' })],
    });
    expect(outcome.ok && outcome.value.svids.map(({ id }) => id)).toEqual([ID]);
  });

  test('the key bytes are erased from the message, used or not', () => {
    for (const change of [{}, { spiffeId: SECOND }]) {
      const message = create(X509SVIDResponseSchema, { svids: [svidOf(leaf, ID, root, change)] });
      const bytes = message.svids[0]?.x509SvidKey;
      expect(bytes?.some((octet) => octet !== 0)).toBe(true);
      readX509Update(message);
      expect(bytes?.every((octet) => octet === 0)).toBe(true);
    }
  });
});

describe('the message is discarded', () => {
  test.each(['spiffeId', 'x509Svid', 'x509SvidKey', 'bundle'] as const)(
    '%s is empty (C-03)',
    (field) => {
      const change = { [field]: field === 'spiffeId' ? '' : none };
      const outcome = read({ svids: [svidOf(leaf, ID, root, change)] });
      expect(outcome).toMatchObject({ ok: false, code: 'WORKLOAD_FIELD_EMPTY' });
      expect(read({ svids: [svidOf(leaf, ID, root)] }).ok).toBe(true);
    },
  );

  test('svids is empty (C-03)', () => {
    expect(read({})).toMatchObject({ ok: false, code: 'WORKLOAD_FIELD_EMPTY' });
  });

  test('one SVID of two is incomplete (C-03)', () => {
    const svids = [svidOf(leaf, ID, root), svidOf(leaf, ID, root, { bundle: none })];
    expect(read({ svids })).toMatchObject({ ok: false, code: 'WORKLOAD_FIELD_EMPTY' });
  });

  test('certificate, key and ID do not agree', async () => {
    const other = await leafToday(root, SECOND);
    const twoNames = await leafToday(root, ID, { ca: true });
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 });
    const changes = [
      { spiffeId: SECOND },
      { x509SvidKey: pkcs8(other) },
      { x509SvidKey: new Uint8Array(rsa.privateKey.export({ format: 'der', type: 'pkcs8' })) },
      { x509SvidKey: Uint8Array.of(1, 2, 3) },
      { x509Svid: Uint8Array.of(1, 2, 3) },
      { x509Svid: Buffer.concat([leaf.der, Buffer.of(0)]) },
      { x509Svid: new Uint8Array(twoNames.der), x509SvidKey: pkcs8(twoNames) },
    ];
    for (const change of changes) {
      const outcome = read({ svids: [svidOf(leaf, ID, root, change)] });
      expect(outcome).toMatchObject({ ok: false, code: 'WORKLOAD_SVID_INVALID' });
    }
  });

  test('its own bundle cannot be read', () => {
    const outcome = read({ svids: [svidOf(leaf, ID, root, { bundle: Uint8Array.of(0x30, 0) })] });
    expect(outcome).toMatchObject({ ok: false, code: 'BUNDLE_MALFORMED' });
  });

  test('it is of another trust domain than the expected one', () => {
    const svids = [svidOf(leaf, ID, root)];
    expect(read({ svids }, 'else.example')).toMatchObject({ code: 'WORKLOAD_SVID_INVALID' });
    expect(read({ svids: [svidOf(leaf, ID, root)] }, OWN).ok).toBe(true);
  });
});

test('a message with any octet changed is taken or discarded, and never throws', () => {
  const init = {
    svids: [svidOf(leaf, ID, root)],
    federatedBundles: { 'spiffe://a.b': foreign.der },
  };
  const wire = toBinary(X509SVIDResponseSchema, create(X509SVIDResponseSchema, init));
  const changes = fc.tuple(fc.nat({ max: wire.length - 1 }), fc.integer({ min: 1, max: 255 }));
  fc.assert(
    fc.property(changes, ([at, mask]) => {
      const copy = wire.slice();
      copy[at] = (copy[at] ?? 0) ^ mask;
      let message: ReturnType<typeof fromBinary<typeof X509SVIDResponseSchema>>;
      try {
        message = fromBinary(X509SVIDResponseSchema, copy);
      } catch {
        return; // Not a message: the transport says so.
      }
      const outcome = readX509Update(message);
      if (!outcome.ok) expect(outcome.detail).not.toContain('\n');
    }),
    { numRuns: 400 },
  );
});

describe('federated bundles', () => {
  test('are held apart, by trust domain (A-13, B-05)', () => {
    const outcome = read({
      svids: [svidOf(leaf, ID, root)],
      federatedBundles: { 'spiffe://other.example': new Uint8Array(foreign.der) },
    });
    if (!outcome.ok) throw new Error(outcome.detail);
    const sizes = [...outcome.value.bundles].map(([name, one]) => [name, one.authorities.length]);
    expect(sizes).toEqual([
      [OWN, 1],
      ['other.example', 1],
    ]);
  });

  test.each([
    [
      'a bundle for our own domain',
      'spiffe://city.example',
      () => foreign.der,
      'BUNDLE_TRUST_DOMAIN_INVALID',
    ],
    [
      'a key with a path',
      'spiffe://other.example/a',
      () => foreign.der,
      'BUNDLE_TRUST_DOMAIN_INVALID',
    ],
    ['bytes that are no bundle', 'spiffe://other.example', () => Buffer.of(1), 'BUNDLE_MALFORMED'],
  ])('%s is skipped and told; our own rotation goes on', (_what, key, bytes, code) => {
    const outcome = read({
      svids: [svidOf(leaf, ID, root)],
      federatedBundles: { [key]: new Uint8Array(bytes()) },
    });
    if (!outcome.ok) throw new Error(outcome.detail);
    expect(outcome.value.skipped).toMatchObject([{ code }]);
    expect([...outcome.value.bundles.keys()]).toEqual([OWN]);
    expect(outcome.value.bundles.get(OWN)?.authorities[0]?.raw).toEqual(root.der);
  });
});
