import { beforeAll, describe, expect, test } from 'vitest';
import { openLoggedSource } from '#cli/wiring/logged-source.ts';
import { createStandingBook } from '#custody/log/standing.ts';
import { signStatement } from '#custody/log/statement.ts';
import type { X509Svid } from '#identity/svid.ts';
import { noteSigner } from '#test/custody/log/support.ts';
import { bundleSet, createTestCa, type TestCa, testSource } from '#test/support/test-ca.ts';

const attester = noteSigner('city.example/attester');
const ID = 'spiffe://city.example/agent/sensor/north/cam-1';
let ca: TestCa;
beforeAll(async () => {
  ca = await createTestCa('city.example');
});

async function setUp() {
  const time = { now: Date.now() };
  const clock = () => time.now;
  const book = createStandingBook({ attesters: [attester.verifier], clock });
  const first = await ca.issue(ID, { notAfter: new Date(time.now + 20_000) });
  const source = testSource(first, bundleSet(ca));
  const open = () => openLoggedSource(source, book, clock);
  const state = ({ id, thumbprint, serial, notBefore, notAfter }: X509Svid) => {
    const [nbf, exp] = [notBefore, notAfter].map((date) => Math.floor(date.getTime() / 1000));
    const life = { nbf: nbf ?? 0, exp: exp ?? 0 };
    const claims = { kind: 'issuance', id, thumbprint, serial, ...life, selectors: [] } as const;
    book.add([signStatement(claims, [attester])]);
  };
  return { time, clock, book, first, source, state, open };
}

describe('a source whose SVID is used when it is stated as issued', () => {
  test('is there when the first one is stated', async () => {
    const { first, state, open } = await setUp();
    let opened = false;
    const opening = open().then((source) => {
      opened = true;
      return source;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(opened).toBe(false);
    state(first);
    expect((await opening).svid()).toBe(first);
  });

  test('has the one before until the new one is stated, and tells then', async () => {
    const { first, source, state, open } = await setUp();
    state(first);
    const held = await open();
    const seen: string[] = [];
    held.onUpdate(() => seen.push(held.svid().thumbprint));
    const second = await ca.issue(ID);
    source.rotate(second);
    expect(held.svid()).toBe(first);
    state(second);
    expect(held.svid()).toBe(second);
    expect(seen.at(-1)).toBe(second.thumbprint);
  });

  test('passes over one that is never stated when the next is', async () => {
    const { first, source, state, open } = await setUp();
    state(first);
    const held = await open();
    const [unstated, third] = [await ca.issue(ID), await ca.issue(ID)];
    source.rotate(unstated);
    source.rotate(third);
    state(third);
    expect(held.svid()).toBe(third);
    state(unstated);
    expect(held.svid()).toBe(third);
  });

  test('gives the new one when the one before has ended: that one is refused for certain', async () => {
    const { time, first, source, state, open } = await setUp();
    state(first);
    const held = await open();
    const second = await ca.issue(ID);
    source.rotate(second);
    time.now = first.notAfter.getTime();
    expect(held.svid()).toBe(second);
  });

  test('has no identity when it was taken away', async () => {
    const { first, source, state, book, clock } = await setUp();
    state(first);
    let taken = false;
    const svid = () => {
      if (taken) throw new Error('no X.509-SVID');
      return first;
    };
    const held = await openLoggedSource({ ...source, svid }, book, clock);
    expect(held.svid()).toBe(first);
    taken = true;
    expect(() => held.svid()).toThrow('no X.509-SVID');
    source.rotate(first);
    expect(() => held.svid()).toThrow('no X.509-SVID');
  });

  test('tells of new bundles, and of nothing when it is closed', async () => {
    const { first, source, state, open } = await setUp();
    state(first);
    const held = await open();
    let told = 0;
    held.onUpdate(() => {
      told += 1;
    });
    source.setBundles(bundleSet());
    expect([told, held.bundles().size]).toEqual([1, 0]);
    held.close();
    source.setBundles(bundleSet(ca));
    expect(told).toBe(1);
  });
});
