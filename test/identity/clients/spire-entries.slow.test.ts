import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseEntry, type RegistrationEntry } from '#identity/issuer/entry.ts';
import { readEntriesJson, writeEntriesJson } from '#identity/issuer/entry-json.ts';
import { type Spire, startSpire } from '#test/bench/identity/spire-processes.ts';
import { rules, storedEntry, TRUST_DOMAIN } from '#test/identity/issuer/harness.ts';
import { spire } from '#test/tools.ts';

const programs = spire();
const WHY = programs === undefined ? 'no spire-server here' : 'a real SPIRE';

const ENTRIES: readonly RegistrationEntry[] = [
  storedEntry({ hint: 'main', jwt_svid_ttl: 60, x509_svid_ttl: 600 }),
  storedEntry({
    id: 'db',
    spiffe_id: `spiffe://${TRUST_DOMAIN}/database`,
    parent_id: `spiffe://${TRUST_DOMAIN}/spire/agent/join_token/abc`,
    selectors: [
      { type: 'unix', value: 'uid:1000' },
      { type: 'unix', value: 'path:/usr/bin/meter' },
    ],
    dns_names: ['db.example', 'unu1000'],
    expires_at: 4102444800,
    jwt_svid_include_jti: true,
  }),
];

/** The entries of the test as they are understood, in one order; revisions are each server's own. */
function understood(text: string) {
  const read = readEntriesJson(text);
  if (!read.ok) throw new Error(read.detail);
  const wanted = read.value.filter(({ id }) => ENTRIES.some((entry) => entry.id === id));
  return wanted
    .map((input) => {
      const entry = parseEntry(input, rules(new Date()));
      if (!entry.ok) throw new Error(entry.detail);
      const { revision_number: _revision, created_at: _at, selectors, ...rest } = entry.value;
      return { ...rest, selectors: selectors.map(({ type, value }) => `${type}:${value}`).sort() };
    })
    .sort((a, b) => a.id.localeCompare(b.id));
}

describe.skipIf(programs === undefined)(`entries as JSON, with ${WHY}`, () => {
  let server: Spire;
  let folder: string;
  beforeAll(async () => {
    if (programs === undefined) return;
    folder = mkdtempSync(join(tmpdir(), 'entries-'));
    server = await startSpire(programs, { trustDomain: TRUST_DOMAIN, path: '/bench' });
  }, 120_000);
  afterAll(async () => {
    await server?.stop();
    if (folder !== undefined) rmSync(folder, { recursive: true });
  });

  const command = async (...args: readonly string[]): Promise<string> => {
    const given = ['entry', ...args, '-socketPath', server.serverSocket];
    const { stdout } = await promisify(execFile)(programs?.server ?? '', given);
    return stdout;
  };

  test('`spire-server entry create -data` takes what we write, and we read what `entry show` prints', async () => {
    const ours = JSON.stringify(writeEntriesJson(ENTRIES));
    const file = join(folder, 'entries.json');
    writeFileSync(file, ours);
    await command('create', '-data', file);
    const theirs = await command('show', '-output', 'json');
    expect(understood(theirs)).toEqual(understood(ours));
    expect(understood(ours)).toHaveLength(ENTRIES.length);
  });
});
