import { X509Certificate } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { identityVerbs } from '#cli/wiring/identity-control.ts';
import { readBundleDocument } from '#identity/bundle-document.ts';
import { type ControlServer, serveControl } from '#runtime/control/server.ts';
import { openRunFolder, type RunFolder } from '#runtime/run-folder.ts';
import { Bench, sensorEntry, TRUST_DOMAIN } from '#test/identity/issuer/harness.ts';
import { fetchOnce } from '#test/identity/issuer/raw-client.ts';
import { CONTROLS, folder, lines, run } from './support.ts';

const METER = `spiffe://${TRUST_DOMAIN}/legacy/meter`;
const ADD = ['identity', 'add', '--spiffe-id', METER, '--selector', 'unix:uid:12345'] as const;

describe('swarmproof identity, on the issuer of a running swarm', () => {
  let bench: Bench;
  let place: ReturnType<typeof folder>;
  let control: ControlServer;
  let runFolder: RunFolder;
  beforeEach(async () => {
    place = folder();
    bench = new Bench();
    await bench.start();
    await bench.link.setEntries([sensorEntry()]);
    const opened = await openRunFolder({
      path: join(place.path, 'runs', 'default'),
      id: 'default',
      tempDir: tmpdir(),
    });
    if (!opened.ok) throw new Error(opened.detail);
    runFolder = opened.value;
    const served = await serveControl(
      runFolder.controlSocket,
      runFolder.token,
      identityVerbs((question) => question(bench.link)),
    );
    if (!served.ok) throw new Error(served.detail);
    control = served.value;
  });
  afterEach(async () => {
    await control.close();
    await runFolder.close();
    await bench.stop();
    place.remove();
  });
  const swarmproof = (...args: readonly string[]) => run(place.path, ...args);

  test('an entry is added, shown, gives an identity, and is removed; all within 80 columns', async () => {
    const uid = String(process.getuid?.());
    const selector = ['--selector', `unix:uid:${uid}`] as const;
    const added = await swarmproof(...ADD.slice(0, 4), ...selector, '--dns', 'meter.example');
    expect(added).toMatchObject({ code: 0, err: '' });
    expect(await fetchOnce(bench.socketPath)).toEqual([METER]);
    const listed = await swarmproof('identity', 'entries');
    expect(listed.out).toMatch(/added .* \/legacy\/meter$/m);
    expect(listed.out).toContain('2 entries: 1 of the swarm file, 1 added');
    const id = added.out.split(' ')[1] ?? '';
    const shown = await swarmproof('identity', 'show', id.slice(0, 8));
    expect(shown.out).toContain(`Selector          : unix:uid:${uid}`);
    expect(shown.out).toContain('DNS name          : meter.example');
    for (const line of lines(listed.out)) expect(line.length).toBeLessThanOrEqual(80);
    expect((await swarmproof('identity', 'remove', id)).out).toBe(`removed ${id}  ${METER}\n`);
    expect(await fetchOnce(bench.socketPath)).toBe(7);
  });

  test('what was added outlives the issuer; what the file had comes back, and that is said', async () => {
    await swarmproof(...ADD);
    const { out } = await swarmproof('identity', 'entries', '--json');
    const file = JSON.parse(out).entries.find(
      (one: { spiffe_id: string }) => one.spiffe_id === sensorEntry().spiffe_id,
    );
    const removed = await swarmproof('identity', 'remove', file.entry_id);
    expect(removed.out).toContain('it comes back when the swarm is started again');
    bench.link.close();
    await bench.issuer.close();
    await bench.start();
    await bench.link.setEntries([sensorEntry()]);
    const after = await swarmproof('identity', 'entries');
    // The launcher is the same, so the issuer that follows does not give back what was revoked.
    expect(after.out).toContain('1 entry: 0 of the swarm file, 1 added');
  });

  test('what is written as JSON is read again, in the spelling of spire-server too', async () => {
    await swarmproof(...ADD, '--hint', 'main', '--entry-expiry', '4102444800');
    const { out } = await swarmproof('identity', 'show', '--json', await idOf(METER));
    const path = join(place.path, 'entries.json');
    writeFileSync(path, out);
    await swarmproof('identity', 'remove', await idOf(METER));
    expect(await swarmproof('identity', 'add', path)).toMatchObject({ code: 0, err: '' });
    const again = await swarmproof('identity', 'show', '--json', await idOf(METER));
    const entry = (text: string) => {
      const { created_at: _at, ...rest } = JSON.parse(text).entries[0];
      return rest;
    };
    expect(entry(again.out)).toEqual(entry(out));
    expect(entry(out)).toMatchObject({ entryExpiry: 4102444800, hint: 'main' });
  });
  async function idOf(spiffeId: string): Promise<string> {
    const { out } = await swarmproof('identity', 'entries', '--json');
    const { entries } = JSON.parse(out) as { entries: { spiffe_id: string; entry_id: string }[] };
    return entries.find((one) => one.spiffe_id === spiffeId)?.entry_id ?? '';
  }

  test.each<[string, readonly string[], string]>([
    ['nothing to add', ['add'], 'name a file of entries'],
    ['no selector', ['add', '--spiffe-id', METER], 'an entry needs a --selector'],
    ['half a selector', [...ADD.slice(1, 4), '--selector', 'unix'], 'write it as type:value'],
    [
      'another trust domain',
      ['add', '--spiffe-id', 'spiffe://o.example/a', '--selector', 'a:b'],
      'not in trust domain',
    ],
    ['a file that is not there', ['add', '/nowhere.json'], 'cannot be read (ENOENT)'],
    ['an unknown entry', ['show', 'zzz'], 'no entry has an id'],
    ['an unknown entry to remove', ['remove', 'zzz'], 'no entry has an id'],
    ['a token for years', ['token', '--ttl', '9999999'], 'TOKEN_LIFETIME'],
    [
      'a selector of 5,000 characters',
      [...ADD.slice(1, 4), '--selector', `a:${'b'.repeat(5000)}`],
      'ENTRY_INVALID',
    ],
  ])('%s: one line with the fix, exit code 1', async (_name, args, why) => {
    const { code, out, err } = await swarmproof('identity', ...args);
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(lines(err)).toHaveLength(1);
    expect(err).toContain(why);
    expect(err).not.toMatch(CONTROLS);
    // The link to the issuer is unharmed.
    expect(await bench.link.listEntries(0)).toMatchObject({ ok: true, value: { total: 1 } });
  });

  test('the same entry twice is refused by its id, and nothing of a batch is added then', async () => {
    expect((await swarmproof(...ADD)).code).toBe(0);
    const twice = await swarmproof(...ADD);
    expect(twice.err).toContain('ENTRY_EXISTS');
    const path = join(place.path, 'batch.json');
    const one = { spiffe_id: `${METER}-2`, selectors: [{ type: 'unix', value: 'uid:1' }] };
    const same = { spiffe_id: METER, selectors: [{ type: 'unix', value: 'uid:12345' }] };
    writeFileSync(path, JSON.stringify({ entries: [one, same] }));
    expect((await swarmproof('identity', 'add', path)).err).toContain('nothing was added');
    expect((await swarmproof('identity', 'entries')).out).not.toContain('meter-2');
  });

  test('the issuance log is followed from its first row, and a changed row is named', async () => {
    await bench.attestSelf();
    for (let n = 1; n <= 3; n += 1) {
      await bench.link.setEntries([sensorEntry({ x509_svid_ttl: 20 + n })]);
      await fetchOnce(bench.socketPath);
    }
    const good = await swarmproof('identity', 'issued', '--limit', '2');
    expect(good.out).toMatch(/chain: rows 1 to 3 follow one another, head [0-9a-f]{16}…/);
    expect(lines(good.out)).toHaveLength(5);
    await control.close();
    const served = await serveControl(runFolder.controlSocket, runFolder.token, {
      ...identityVerbs(async (question) => {
        const answer = await question({
          ...bench.link,
          issued: async (from) => {
            const page = await bench.link.issued(from);
            if (page.ok && page.value.rows[1]) {
              page.value.rows[1].body = page.value.rows[1].body.replace('cam-1', 'cam-2');
            }
            return page;
          },
        });
        return answer;
      }),
    });
    if (!served.ok) throw new Error(served.detail);
    control = served.value;
    const bad = await swarmproof('identity', 'issued');
    expect(bad.code).toBe(1);
    expect(bad.err).toContain('LOG_BROKEN: the issuance log does not chain at row 2');
  });

  test('the bundle is a SPIFFE bundle document with both kinds of keys, or PEM', async () => {
    const { out } = await swarmproof('identity', 'bundle');
    const read = readBundleDocument(TRUST_DOMAIN, Buffer.from(out));
    if (!read.ok) throw new Error(read.detail);
    expect(read.value.x509.authorities.map(({ raw }) => new Uint8Array(raw))).toEqual(
      bench.issuer.bundle().map((der) => new Uint8Array(der)),
    );
    expect(read.value.jwt.keys.size).toBe(1);
    expect(read.value.sequence).toBeGreaterThan(0n);
    const pem = await swarmproof('identity', 'bundle', '--pem');
    expect(new Uint8Array(new X509Certificate(pem.out).raw)).toEqual(
      new Uint8Array(bench.issuer.bundle()[0] ?? []),
    );
  });

  test('a join token is printed once and stands in no file', async () => {
    const { out } = await swarmproof('identity', 'token', '--ttl', '60');
    const [, token = ''] = /^token {6}(\S+)$/m.exec(out) ?? [];
    expect(token).toHaveLength(43);
    expect(out).toMatch(/^agent ID {3}spiffe:\/\/city\.example\/spire\/agent\/join_token\//m);
    expect(out).toMatch(/^endpoint {3}127\.0\.0\.1:\d+$/m);
    const state = join(bench.folder, 'state');
    for (const name of ['issuer.db', 'issuer.db-wal']) {
      expect(readFileSync(join(state, name)).includes(token)).toBe(false);
    }
    expect(JSON.stringify(bench.issuer.pending(100))).not.toContain(token);
  });
});
