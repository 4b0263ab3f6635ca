import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { nodeEntries, renewNode } from '#identity/node/client.ts';
import { keepNode, keptNode } from '#identity/node/keeping.ts';
import { type Membership, openMembership } from '#identity/node/membership.ts';
import { Bench, sensorEntry, TRUST_DOMAIN } from '#test/identity/issuer/harness.ts';
import { goOn, pass, standStill } from '#test/identity/issuer/time.ts';
import { codeOf, must, optionsFor } from './support.ts';

const HOUR = 3_600_000;

describe('membership of a node', () => {
  let bench: Bench;
  let now: () => Date;
  const open: Membership[] = [];

  beforeEach(async () => {
    bench = new Bench();
    now = () => new Date();
  });
  afterEach(async () => {
    goOn();
    for (const one of open.splice(0)) one.close();
    await bench.stop();
  });
  const start = (nodeTtlSeconds = 3600) => bench.start({ clock: () => now(), nodeTtlSeconds });
  async function memberOf(options: Parameters<typeof openMembership>[0]): Promise<Membership> {
    const opened = must(await openMembership(options));
    open.push(opened);
    return opened;
  }
  const logged = () => bench.issuer.pending(1000).map(({ body }) => JSON.parse(body));
  /** Resolves when the issuer's log has so many SVIDs of this ID. */
  async function hasIssued(id: string, times: number): Promise<void> {
    while (logged().filter((row) => row.spiffe_id === id).length < times) {
      const one = Promise.withResolvers<void>();
      const stop = bench.issuer.onIssued(one.resolve);
      await one.promise;
      stop();
    }
  }

  test('it renews at half of its life, keeps the new one before it shows it, and stays one node', async () => {
    standStill();
    let passed = 0;
    now = () => new Date(Date.now() + passed);
    const elapse = (milliseconds: number): void => {
      passed += milliseconds;
      pass(milliseconds);
    };
    await start();
    const made = must(await bench.link.joinToken({ ttl: 600 }));
    const options = { ...optionsFor(bench, made), clock: () => now() };
    const member = await memberOf(options);
    const entries = () => member.ask((endpoint, node) => nodeEntries(endpoint, node));
    const kept = () => {
      const node = must(keptNode(options.folder, TRUST_DOMAIN, now()));
      if (node === undefined) throw new Error('nothing kept');
      return node;
    };
    for (const issued of [2, 3]) {
      const before = kept();
      // Too early, then late enough: half, give or take a tenth of it. By the time that two questions
      // are answered, one after the other, it would have renewed.
      elapse(0.44 * HOUR);
      for (const _question of [1, 2]) expect(await entries()).toMatchObject({ ok: true });
      expect(kept().svid.serial).toBe(before.svid.serial);
      elapse(0.12 * HOUR);
      await hasIssued(made.agentId, issued);
      await expect.poll(() => kept().svid.serial).not.toBe(before.svid.serial);
      expect(kept().svid.id).toBe(made.agentId);
      expect(kept().svid.key.equals(before.svid.key)).toBe(false);
      expect(member.id).toBe(made.agentId);
      expect(await entries()).toMatchObject({ ok: true });
      // What it had before is nobody's now: who copied it then has nothing.
      expect(codeOf(await nodeEntries(options, before))).toBe('NODE_UNKNOWN');
    }
    expect(must(await bench.link.listNodes()).nodes).toHaveLength(1);
  });

  test('a copy of what it keeps is good until one of the two renews; then the other is told', async () => {
    await start();
    const made = must(await bench.link.joinToken({ ttl: 600 }));
    const options = optionsFor(bench, made);
    const member = await memberOf(options);
    const copied = must(keptNode(options.folder, TRUST_DOMAIN, new Date()));
    if (copied === undefined) throw new Error('nothing kept');
    const thief = join(bench.folder, 'thief');
    keepNode(thief, copied);
    const other = await memberOf({ ...options, folder: thief });
    expect(other.id).toBe(member.id);
    const fresh = must(await other.ask((endpoint, node) => renewNode(endpoint, node)));
    // Shown, so that the one before is over.
    expect(codeOf(await nodeEntries(options, fresh))).toBe('OK');
    const asked = await member.ask((endpoint, node) => nodeEntries(endpoint, node));
    expect(codeOf(asked)).toBe('NODE_UNKNOWN');
    expect(await member.ended).toMatchObject({ code: 'NODE_UNKNOWN' });
  });

  test('it hears of entries, and of new authorities, which it keeps', async () => {
    await start(24 * 3600);
    const made = must(await bench.link.joinToken({ ttl: 600 }));
    const options = optionsFor(bench, made);
    const member = await memberOf(options);
    expect(member.entries()).toEqual([]);
    let heard = Promise.withResolvers<void>();
    member.onNews(() => {
      heard.resolve();
      heard = Promise.withResolvers();
    });
    const added = heard.promise;
    await bench.link.addEntries([sensorEntry({ parent_id: made.agentId })]);
    await added;
    expect(member.entries().map(({ spiffe_id }) => spiffe_id)).toEqual([sensorEntry().spiffe_id]);
    const before = readFileSync(join(options.folder, 'node.json'), 'utf8');
    const published = heard.promise;
    now = () => new Date(Date.now() + 13 * HOUR);
    await bench.issuer.housekeep();
    await published;
    expect(member.bundle().x509.authorities).toHaveLength(2);
    expect(readFileSync(join(options.folder, 'node.json'), 'utf8')).not.toBe(before);
  });

  test('evicted while nobody asks, it ends at once, with no entry left', async () => {
    await start();
    const made = must(await bench.link.joinToken({ ttl: 600 }));
    const member = await memberOf(optionsFor(bench, made));
    await bench.link.addEntries([sensorEntry({ parent_id: made.agentId })]);
    const evicted = must(await bench.link.evictNode(made.agentId));
    expect(evicted.nodes.map(({ id }) => id)).toEqual([made.agentId]);
    expect(await member.ended).toMatchObject({ code: 'NODE_UNKNOWN' });
    expect(member.entries()).toEqual([]);
    expect(must(await bench.link.listNodes()).nodes).toEqual([]);
    expect(codeOf(await bench.link.evictNode(made.agentId))).toBe('NODE_UNKNOWN');
  });

  test('with what it kept it needs no token; a second token is not used up', async () => {
    await start();
    const made = must(await bench.link.joinToken({ ttl: 600 }));
    const { token: _token, ...without } = optionsFor(bench, made);
    expect(codeOf(await openMembership(without))).toBe('NODE_TOKEN_MISSING');
    (await memberOf(optionsFor(bench, made))).close();
    expect((await memberOf(without)).id).toBe(made.agentId);
    const spare = must(await bench.link.joinToken({ ttl: 600 }));
    expect((await memberOf(optionsFor(bench, spare))).id).toBe(made.agentId);
    const elsewhere = { ...optionsFor(bench, spare), folder: join(bench.folder, 'other') };
    expect((await memberOf(elsewhere)).id).toBe(spare.agentId);
  });

  test('an issuer that is away is waited for, and said once; a stranger in its place is not', async () => {
    await start();
    const made = must(await bench.link.joinToken({ ttl: 600 }));
    const said: string[] = [];
    const options = optionsFor(bench, made, said);
    (await memberOf(options)).close();
    bench.link.close();
    await bench.issuer.close();
    const stopping = new AbortController();
    const waiting = openMembership({ ...options, signal: stopping.signal });
    while (!said.some((line) => line.includes('NODE_UNREACHABLE'))) {
      await new Promise((resolve) => setImmediate(resolve));
    }
    await bench.start({ nodeTtlSeconds: 3600 });
    const again = must(await waiting);
    open.push(again);
    expect(said.filter((line) => line.includes('NODE_UNREACHABLE'))).toHaveLength(1);
    expect(said.at(-1)).toBe('the issuer answers again');

    const impostor = new Bench();
    try {
      await impostor.start();
      const theirs = must(await impostor.link.joinToken({ ttl: 600 }));
      const [, port] = theirs.address.split(':');
      const deceived = await openMembership({ ...options, port: Number(port) });
      expect(codeOf(deceived)).toBe('NODE_SERVER_UNPROVEN');
    } finally {
      await impostor.stop();
    }
  });

  describe('an issuer whose clock is wrong, so that no SVID of a node verifies', () => {
    const saidOf = async (said: readonly string[], what: string): Promise<void> => {
      while (!said.some((line) => line.includes(what))) {
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    const early = () => new Date(Date.now() - HOUR / 6);

    test.each([['without a token'], ['with one that it used']])(
      'is waited for by a node that begins, %s',
      async (how) => {
        await start();
        const made = must(await bench.link.joinToken({ ttl: 600 }));
        const said: string[] = [];
        const options = optionsFor(bench, made, said);
        (await memberOf(options)).close();
        now = early;
        const { token: _token, ...without } = options;
        const waiting = openMembership(how === 'without a token' ? without : options);
        await saidOf(said, 'NODE_UNVERIFIED');
        now = () => new Date();
        const again = must(await waiting);
        open.push(again);
        expect(again.id).toBe(made.agentId);
        expect(said.filter((line) => line.includes('NODE_UNVERIFIED'))).toHaveLength(1);
        expect(said.at(-1)).toBe('the issuer answers again');
      },
    );

    test('is waited for by a node that runs, which keeps what it has', async () => {
      await start();
      const made = must(await bench.link.joinToken({ ttl: 600 }));
      const said: string[] = [];
      const member = await memberOf(optionsFor(bench, made, said));
      const heard = Promise.withResolvers<void>();
      member.onNews(() => heard.resolve());
      await bench.link.addEntries([sensorEntry({ parent_id: made.agentId })]);
      await heard.promise;
      now = early;
      // Where it waited already, this still comes, and it asks for what comes next.
      const other = `spiffe://${TRUST_DOMAIN}/agent/sensor/north/cam-2`;
      await bench.link.addEntries([sensorEntry({ parent_id: made.agentId, spiffe_id: other })]);
      await saidOf(said, 'NODE_UNVERIFIED');
      expect(member.entries()).not.toEqual([]);
      now = () => new Date();
      await saidOf(said, 'the issuer answers again');
      expect(member.entries()).toHaveLength(2);
      expect(must(await bench.link.listNodes()).nodes).toHaveLength(1);
    });
  });

  test('a wish to stop ends the waiting', async () => {
    await start();
    const made = must(await bench.link.joinToken({ ttl: 600 }));
    const options = optionsFor(bench, made);
    (await memberOf(options)).close();
    await bench.stop();
    const stopping = new AbortController();
    const waiting = openMembership({ ...options, signal: stopping.signal });
    stopping.abort();
    expect((await waiting).ok).toBe(false);
    bench = new Bench();
  });
});
