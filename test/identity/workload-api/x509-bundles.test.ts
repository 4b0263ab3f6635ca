import { once } from 'node:events';
import { Code } from '@connectrpc/connect';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { spiffeId } from '#identity/spiffe-id.ts';
import { openX509BundleSource, type X509BundleSource } from '#identity/workload-api/client.ts';
import { verifyX509Svid } from '#identity/x509/verify.ts';
import { type Harness, ID, OTHER_ID, startHarness } from '../support/client-harness.ts';
import { leafToday, OWN, rootToday, svidOf } from '../support/pushed.ts';

const KEY = `spiffe://${OWN}`;
let at: Harness;
let opened: X509BundleSource[];
beforeEach(async () => {
  at = await startHarness();
  opened = [];
});
afterEach(async () => {
  for (const source of opened) source.close();
  await at.close();
});

const bytes = (der: Uint8Array) => new Uint8Array(der);
function openBundles(states: string[]): Promise<X509BundleSource> {
  const opening = openX509BundleSource({
    socketPath: at.server.path,
    backoff: { firstMs: 5, maxMs: 20 },
    onState: (state) => {
      states.push(state.kind);
      (at.events as NodeJS.EventEmitter).emit(state.kind);
    },
  });
  opening.then(
    (source) => opened.push(source),
    () => undefined,
  );
  return opening;
}

describe('bundles alone', () => {
  test('a validator without an SVID verifies by them, each domain by its own (B-05, C-06)', async () => {
    const states: string[] = [];
    const opening = openBundles(states);
    const stream = await at.server.nextBundles();
    expect(stream.header).toBe('true');
    const partner = await rootToday('other.example');
    stream.send({
      bundles: { [KEY]: bytes(at.root.der), 'spiffe://other.example': bytes(partner.der) },
    });
    const source = await opening;
    const judge = async (signer: typeof partner, id: string) => {
      const leaf = await leafToday(signer, id);
      const outcome = verifyX509Svid([leaf.der], source.bundles(), new Date());
      return outcome.ok ? 'OK' : outcome.code;
    };
    expect(await judge(at.root, ID)).toBe('OK');
    expect(await judge(partner, 'spiffe://other.example/a')).toBe('OK');
    expect(await judge(partner, ID)).toBe('SVID_SIGNER_UNKNOWN');
    expect(states).toEqual(['ready']);
  });

  test('a new message replaces, an empty one is discarded, a denial takes away (C-02, C-03, C-05)', async () => {
    const states: string[] = [];
    const opening = openBundles(states);
    const stream = await at.server.nextBundles();
    const partner = await rootToday('other.example');
    stream.send({
      bundles: { [KEY]: bytes(at.root.der), 'spiffe://other.example': bytes(partner.der) },
    });
    const source = await opening;
    stream.send({ bundles: {} });
    await once(at.events, 'discarded');
    expect(source.bundles().size).toBe(2);
    let updates = 0;
    source.onUpdate(() => {
      updates += 1;
    });
    stream.send({ bundles: { [KEY]: bytes(at.root.der), 'no key': bytes(partner.der) } });
    await once(at.events, 'ready');
    expect([...source.bundles().keys()]).toEqual([OWN]);
    stream.fail(Code.PermissionDenied, 'entry deleted');
    await once(at.events, 'denied');
    expect(source.bundles().size).toBe(0);
    expect(updates).toBe(2);
    expect(states).toEqual(['ready', 'discarded', 'discarded', 'ready', 'denied']);
  });

  test('an emptied bundle is a domain of which nothing is trusted any more (B-01)', async () => {
    const opening = openBundles([]);
    (await at.server.nextBundles()).send({ bundles: { [KEY]: new Uint8Array() } });
    const source = await opening;
    const leaf = await leafToday(at.root, ID);
    expect(verifyX509Svid([leaf.der], source.bundles(), new Date())).toMatchObject({
      code: 'SVID_SIGNER_UNKNOWN',
    });
  });

  test('a server without the call is not asked again (C-01)', async () => {
    const states: string[] = [];
    const refused = expect(openBundles(states)).rejects.toThrow('Unimplemented');
    (await at.server.nextBundles()).fail(Code.Unimplemented, 'no');
    await refused;
    expect(states).toEqual(['failed']);
  });
});

describe('several identities', () => {
  const both = async () => [
    svidOf(await leafToday(at.root, ID), ID, at.root, { hint: 'internal' }),
    svidOf(await leafToday(at.root, OTHER_ID), OTHER_ID, at.root, { hint: 'external' }),
  ];

  test('a hint picks one; without it, or with one that nobody has, the first counts (C-04)', async () => {
    const opening = at.open();
    (await at.server.next()).send({ svids: await both() });
    const source = await opening;
    expect(source.svid().id).toBe(ID);
    expect(source.svid('external').id).toBe(OTHER_ID);
    expect(source.svid('nobody').id).toBe(ID);
    expect(source.svids().map(({ id, hint }) => [id, hint])).toEqual([
      [ID, 'internal'],
      [OTHER_ID, 'external'],
    ]);
  });

  test('a program may have its own default, as long as it is there', async () => {
    const wanted = spiffeId(OTHER_ID);
    const opening = at.open({ pick: (svids) => svids.find(({ id }) => id === wanted) });
    const stream = await at.server.next();
    stream.send({ svids: await both() });
    const source = await opening;
    expect(source.svid().id).toBe(OTHER_ID);
    expect(source.svid('internal').id).toBe(ID);
    expect(at.states).toMatchObject([{ kind: 'ready', id: OTHER_ID }]);
    stream.send({ svids: (await both()).slice(0, 1) });
    await once(at.events, 'ready');
    // A redacted identity is not used any more (C-05); the default is what is left.
    expect(source.svid().id).toBe(ID);
    expect(source.svids()).toHaveLength(1);
  });
});
