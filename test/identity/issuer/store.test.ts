import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type Issuance, verifyLog } from '#identity/issuer/log.ts';
import { openStore, type Store } from '#identity/issuer/store.ts';
import { storedEntry, TRUST_DOMAIN } from './harness.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'store-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

function open(): Store {
  const store = openStore(folder);
  if (!store.ok) throw new Error(store.detail);
  return store.value;
}
function issuance(n: number): Issuance {
  return {
    spiffe_id: `spiffe://${TRUST_DOMAIN}/agent/a/${n}`,
    serial: `${n}`,
    thumbprint: 't',
    selectors: ['unix:uid:0'],
    entry_id: 'e',
    authority_id: 'a',
    issued_at: n,
    not_before: n,
    not_after: n,
  };
}

test('the outbox holds each issuance until it is acknowledged; the log keeps it', () => {
  const store = open();
  store.recordIssuances([issuance(1), issuance(2), issuance(3)]);
  expect(store.pending(2).map((row) => JSON.parse(row.body).serial)).toEqual(['1', '2']);
  store.acknowledge(2);
  expect(store.pending(9).map((row) => row.seq)).toEqual([3]);
  expect(store.log().map((row) => row.seq)).toEqual([1, 2, 3]);
  store.close();
});

test('the log chains on after a restart', () => {
  open().close();
  const first = open();
  first.recordIssuances([issuance(1)]);
  first.close();
  const second = open();
  second.recordIssuances([issuance(2)]);
  expect(verifyLog(second.log())).toMatchObject({ ok: true, value: { seq: 2 } });
  second.close();
});

test.each([
  ['an edited row', `UPDATE issuances SET body = replace(body, 'agent', 'admin') WHERE seq = 2`],
  ['a removed row', 'DELETE FROM outbox; DELETE FROM issuances WHERE seq = 2'],
  ['a renumbered row', 'DELETE FROM outbox; UPDATE issuances SET seq = 9 WHERE seq = 3'],
])('%s breaks the chain and the issuer does not start on it', (_name, sql) => {
  const store = open();
  store.recordIssuances([issuance(1), issuance(2), issuance(3)]);
  const head = verifyLog(store.log());
  store.close();
  open().close();
  const db = new DatabaseSync(join(folder, 'issuer.db'));
  db.exec(sql);
  db.close();
  expect(openStore(folder)).toMatchObject({ ok: false, code: 'LOG_BROKEN' });
  expect(head).toMatchObject({ ok: true });
});

test('a cut tail shows against a head kept elsewhere', () => {
  const store = open();
  store.recordIssuances([issuance(1), issuance(2)]);
  const rows = store.log();
  const [whole, cut] = [verifyLog(rows), verifyLog(rows.slice(0, 1))];
  if (!whole.ok || !cut.ok) throw new Error('broken');
  expect(cut.value).not.toEqual(whole.value);
  expect(verifyLog(rows.slice(1), cut.value)).toEqual(whole);
  store.close();
});

test('a second issuer on the same state is refused; folder and files are the owner’s alone', () => {
  const store = open();
  store.recordIssuances([issuance(1)]);
  expect(openStore(folder)).toMatchObject({ ok: false, code: 'STATE_UNREADABLE' });
  expect(statSync(folder).mode & 0o777).toBe(0o700);
  expect(statSync(join(folder, 'issuer.db')).mode & 0o777).toBe(0o600);
  expect(statSync(join(folder, 'issuer.db-wal')).mode & 0o777).toBe(0o600);
  store.close();
  open().close();
});

test('kill -9 at any point loses nothing that was reported', async () => {
  const writer = new URL('./writer.ts', import.meta.url).pathname;
  let reported = 0;
  for (const after of [1, 7, 60]) {
    const child = spawn(process.execPath, ['--no-warnings', writer, folder], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let last = 0;
    for await (const line of createInterface({ input: child.stdout })) {
      last = Number(line);
      if (last === after) child.kill('SIGKILL');
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    reported += last;
    const store = open();
    const log = store.log();
    expect(verifyLog(log).ok).toBe(true);
    expect(log.length).toBeGreaterThanOrEqual(reported);
    expect(store.pending(100_000)).toEqual(log);
    reported = log.length;
    store.close();
  }
});

test('kill -9 while agents join: token used, node known and issuance logged, or none of them', async () => {
  const writer = new URL('./token-writer.ts', import.meta.url).pathname;
  let reported = 0;
  for (const more of [1, 5, 40]) {
    const child = spawn(process.execPath, ['--no-warnings', writer, folder], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const after = reported + more;
    for await (const line of createInterface({ input: child.stdout })) {
      reported = Math.max(reported, Number(line));
      if (reported >= after) child.kill('SIGKILL');
    }
    if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    const store = open();
    const log = store.log();
    expect(verifyLog(log).ok).toBe(true);
    expect(log.length).toBeGreaterThanOrEqual(reported);
    reported = log.length;
    const logged = log.map(({ body }) => JSON.parse(body).spiffe_id).sort();
    expect(
      store
        .nodes()
        .map(({ agentId }) => agentId)
        .sort(),
    ).toEqual(logged);
    for (let n = 1; n <= log.length + 1; n += 1) {
      // A token that was made and not used yet is the only other thing there may be.
      expect(store.token(`digest-${n}`)?.usedAt).toBe(n <= log.length ? 1 : undefined);
      // Used once is used for ever.
      expect(n <= log.length && store.useToken(`digest-${n}`, 1)).toBe(false);
    }
    store.close();
  }
});

describe('entries', () => {
  const make = (ttl: number, at: string, id?: string) =>
    storedEntry({ x509_svid_ttl: ttl, ...(id === undefined ? {} : { id }) }, new Date(at));
  const LAUNCHER = 'launcher-1';

  test('are replaced as a set; only a changed one gets a new revision', () => {
    const store = open();
    store.replaceEntries([make(20, '2026-01-01'), make(20, '2026-01-01', 'extra')], LAUNCHER);
    store.replaceEntries([make(20, '2026-02-02')], LAUNCHER);
    expect(store.entries()).toEqual([{ entry: make(20, '2026-01-01'), origin: 'file' }]);
    store.replaceEntries([make(40, '2026-03-03')], LAUNCHER);
    expect(store.entries()).toMatchObject([{ entry: { x509_svid_ttl: 40, revision_number: 1 } }]);
    store.close();
  });

  test('that an operator added stay when those of the file are replaced, and over a restart', () => {
    const first = open();
    const spiffe_id = `spiffe://${TRUST_DOMAIN}/agent/sensor/north/mine`;
    first.addEntries([storedEntry({ id: 'mine', spiffe_id })]);
    first.replaceEntries([make(20, '2026-01-01', 'file')], LAUNCHER);
    first.replaceEntries([], LAUNCHER);
    first.close();
    const second = open();
    expect(second.entries().map(({ entry, origin }) => [entry.id, origin])).toEqual([
      ['mine', 'added'],
    ]);
    second.close();
  });

  test('that an operator added are the file’s once it has a twin: removed is removed', () => {
    const store = open();
    const [mine, twin] = [make(20, '2026-01-01', 'mine'), make(20, '2026-01-01', 'twin')];
    const ids = () => store.entries().map(({ entry, origin }) => [entry.id, origin]);
    store.replaceEntries([twin], LAUNCHER);
    // As where it was added before the file had one.
    store.addEntries([mine]);
    store.replaceEntries([twin], LAUNCHER);
    expect(ids()).toEqual([['twin', 'file']]);
    store.removeEntry('twin', LAUNCHER);
    store.replaceEntries([twin], LAUNCHER);
    expect(ids()).toEqual([]);
    store.close();
  });

  test('are added all or none', () => {
    const store = open();
    store.addEntries([make(20, '2026-01-01', 'a')]);
    expect(() =>
      store.addEntries([make(20, '2026-01-01', 'b'), make(20, '2026-01-01', 'a')]),
    ).toThrow('UNIQUE');
    expect(store.entries().map(({ entry }) => entry.id)).toEqual(['a']);
    store.close();
  });

  test('that were taken away stay away from this launcher’s issuers, and from no other', () => {
    const file = [make(20, '2026-01-01', 'a'), make(20, '2026-01-01', 'b')];
    const ids = (store: Store) => store.entries().map(({ entry }) => entry.id);
    const first = open();
    first.replaceEntries(file, LAUNCHER);
    first.removeEntry('a', LAUNCHER);
    expect(ids(first)).toEqual(['b']);
    first.close();
    // The issuer was killed and the launcher tells its successor everything again.
    const second = open();
    second.replaceEntries(file, LAUNCHER);
    expect(ids(second)).toEqual(['b']);
    second.replaceEntries(file, 'launcher-2');
    expect(ids(second)).toEqual(['a', 'b']);
    second.close();
  });
});
