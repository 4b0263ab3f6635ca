import { randomBytes } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { joinNode, type NodeIdentity } from '#identity/node/client.ts';
import { keepNode, keptNode } from '#identity/node/keeping.ts';
import { Bench, TRUST_DOMAIN } from '#test/identity/issuer/harness.ts';
import { codeOf, endpointOf, must } from './support.ts';

describe('what a node keeps', () => {
  let bench: Bench;
  let node: NodeIdentity;
  let folder: string;
  const path = () => join(folder, 'node.json');
  beforeEach(async () => {
    bench = new Bench();
    await bench.start();
    const made = must(await bench.link.joinToken({ ttl: 600 }));
    node = must(await joinNode(endpointOf(bench, made), made.token));
    folder = join(mkdtempSync(join(tmpdir(), 'node-')), 'kept');
  });
  afterEach(async () => {
    rmSync(join(folder, '..'), { recursive: true });
    await bench.stop();
  });
  const kept = (domain = TRUST_DOMAIN, now = new Date()) => keptNode(folder, domain, now);

  test('is one file for its owner alone, and comes back as it was', () => {
    expect(must(kept())).toBeUndefined();
    keepNode(folder, node);
    keepNode(folder, node);
    expect(readdirSync(folder)).toEqual(['node.json']);
    expect(statSync(folder).mode & 0o777).toBe(0o700);
    expect(statSync(path()).mode & 0o777).toBe(0o600);
    const back = must(kept());
    expect(back?.svid).toMatchObject({ id: node.svid.id, serial: node.svid.serial });
    expect(back?.svid.key.equals(node.svid.key)).toBe(true);
    expect(back?.bundle.jwt.keys.size).toBe(node.bundle.jwt.keys.size);
  });

  test.each<[string, (text: string) => string | Buffer]>([
    ['cut short', (text) => text.slice(0, text.length / 2)],
    ['empty', () => ''],
    ['noise', () => randomBytes(300)],
    ['another object', () => '{"chain":[]}'],
    ['without its key', (text) => text.replace(/"key":"[^"]*"/, '"key":""')],
    ['without its bundle', (text) => text.replace(/"bundle":.*\}$/, '"bundle":"{}"}')],
    [
      'with a changed certificate',
      // In the key, which is random: the character there is A now and then.
      (text) =>
        text.replace(
          /("chain":\[".{300})(.)/,
          (_all, before: string, one: string) => `${before}${one === 'A' ? 'B' : 'A'}`,
        ),
    ],
  ])('%s is NODE_KEPT_UNUSABLE, never a crash', (_name, change) => {
    keepNode(folder, node);
    expect(codeOf(kept())).toBe('OK');
    writeFileSync(path(), change(readFileSync(path(), 'utf8')));
    expect(kept()).toMatchObject({ code: 'NODE_KEPT_UNUSABLE' });
  });

  test('of another trust domain, of another node’s key, or ended, it is unusable', async () => {
    keepNode(folder, node);
    expect(codeOf(kept('other.example'))).toBe('NODE_KEPT_UNUSABLE');
    expect(codeOf(kept(TRUST_DOMAIN, new Date(Date.now() + 3_700_000)))).toBe('NODE_KEPT_UNUSABLE');
    const made = must(await bench.link.joinToken({ ttl: 600 }));
    const other = must(await joinNode(endpointOf(bench, made), made.token));
    keepNode(folder, { ...node, svid: { ...node.svid, key: other.svid.key } });
    expect(codeOf(kept())).toBe('NODE_KEPT_UNUSABLE');
    keepNode(folder, node);
    expect(codeOf(kept())).toBe('OK');
  });
});
