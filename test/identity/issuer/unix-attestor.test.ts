import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openAccounts, parseAccounts } from '#identity/attestors/accounts.ts';
import { createExecutableDigests } from '#identity/attestors/executable-digest.ts';
import { readProcess, readProcFile } from '#identity/attestors/proc.ts';
import { parseGroups, unixSelectors } from '#identity/attestors/unix.ts';
import { selectorText } from '#identity/issuer/entry.ts';
import { NO_OTHER_UIDS, otherUids } from '#test/tools.ts';
import { Bench, sensorEntry, TRUST_DOMAIN, type Workload } from './harness.ts';
import { GRPC } from './raw-client.ts';

const METER = `spiffe://${TRUST_DOMAIN}/legacy/meter`;
const NOBODY = { uid: 65534, gid: 65534 };

describe('unix attestor, genuine and impostor at one socket', () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = new Bench();
    await bench.start({ socketMode: 0o666 });
    spawnSync('chmod', ['755', bench.folder]);
  });
  afterEach(() => bench.stop());

  const entry = (...values: string[]) =>
    bench.link.addEntries([
      sensorEntry({
        spiffe_id: METER,
        selectors: values.map((value) => ({ type: 'unix', value })),
      }),
    ]);
  async function gets(workload: Workload): Promise<string | number | undefined> {
    workload.connect(bench.socketPath);
    const { svids, status } = await workload.next();
    return svids?.[0]?.id ?? status;
  }

  test('uid: whoever has it, also when the launcher did not start it; another uid gets nothing', async ({
    skip,
  }) => {
    skip(!otherUids(), NO_OTHER_UIDS);
    await entry(`uid:${NOBODY.uid}`);
    expect(await gets(bench.spawn(NOBODY))).toBe(METER);
    expect(await gets(bench.spawn())).toBe(GRPC.permissionDenied);
  });

  test('gid and names: those with which the caller connected', async ({ skip }) => {
    skip(!otherUids(), NO_OTHER_UIDS);
    const { user, group } = openAccounts();
    await entry(`user:${user(NOBODY.uid)}`, `group:${group(NOBODY.gid)}`, `gid:${NOBODY.gid}`);
    expect(await gets(bench.spawn(NOBODY))).toBe(METER);
    expect(await gets(bench.spawn({ ...NOBODY, gid: 1 }))).toBe(GRPC.permissionDenied);
  });

  test('path: the executable that runs, and not what the process says it is', async () => {
    const node = readFileSync(process.execPath);
    const copy = join(bench.folder, 'meter');
    writeFileSync(copy, node, { mode: 0o755 });
    await entry(`path:${copy}`);
    const genuine = bench.spawnWith(copy);
    expect(await gets(genuine)).toBe(METER);
    expect(await gets(bench.spawn({ env: { title: copy } }))).toBe(GRPC.permissionDenied);
    // The right name, but not the file that runs.
    expect(await gets(bench.spawn({ argv0: copy }))).toBe(GRPC.permissionDenied);
  });

  test('sha256: the same bytes wherever they lie; a changed byte is another program', async () => {
    const node = readFileSync(process.execPath);
    const sha256 = createHash('sha256').update(node).digest('hex');
    const [same, other] = [join(bench.folder, 'same'), join(bench.folder, 'other')];
    writeFileSync(same, node, { mode: 0o755 });
    // Behind the end of an ELF file nobody looks, but the digest does.
    writeFileSync(other, Buffer.concat([node, Buffer.from([0])]), { mode: 0o755 });
    await entry(`sha256:${sha256}`);
    expect(await gets(bench.spawnWith(same))).toBe(METER);
    expect(await gets(bench.spawnWith(other))).toBe(GRPC.permissionDenied);
  });

  test('an executable beyond the size limit has no digest, and a smaller limit changes nothing else', async () => {
    await bench.stop();
    bench = new Bench();
    await bench.start({ workloadSizeLimit: 1000 });
    const sha256 = createHash('sha256').update(readFileSync(process.execPath)).digest('hex');
    await entry(`sha256:${sha256}`);
    expect(await gets(bench.spawn())).toBe(GRPC.permissionDenied);
    await bench.link.addEntries([
      sensorEntry({
        spiffe_id: METER,
        selectors: [{ type: 'unix', value: `uid:${process.getuid?.()}` }],
      }),
    ]);
    expect(await gets(bench.spawn())).toBe(METER);
  });

  test('a unix selector does not make up for a missing one of the launcher', async () => {
    await bench.link.addEntries([
      sensorEntry({
        selectors: [
          ...sensorEntry().selectors,
          { type: 'unix', value: `uid:${process.getuid?.()}` },
        ],
      }),
    ]);
    expect(await gets(bench.spawn())).toBe(GRPC.permissionDenied);
    expect(await gets(await bench.launch())).toBe(sensorEntry().spiffe_id);
  });
});

describe('what the kernel and the files say', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'unix-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  test('selectors are spelled and ordered as SPIRE does it', () => {
    const accounts = {
      user: () => 'ann',
      group: (gid: number) => (gid === 4 ? 'adm' : undefined),
    };
    const found = unixSelectors({ uid: 1, gid: 4 }, [4, 27], accounts, {
      path: '/bin/x',
      sha256: 'ab',
    });
    expect(found.map(selectorText)).toEqual([
      'unix:uid:1',
      'unix:user:ann',
      'unix:gid:4',
      'unix:group:adm',
      'unix:supplementary_gid:4',
      'unix:supplementary_group:adm',
      'unix:supplementary_gid:27',
      'unix:path:/bin/x',
      'unix:sha256:ab',
    ]);
  });

  test('supplementary groups come from one line, whatever name the process has', () => {
    expect(parseGroups('Name:\tGroups: 0\nUid:\t1\nGroups:\t4 24 27 \nNgid:\t0\n')).toEqual([
      4, 24, 27,
    ]);
    expect(parseGroups('Groups:\t\n')).toEqual([]);
    expect(parseGroups('')).toEqual([]);
  });

  test('a file is read whole, however long its groups are', () => {
    const path = join(folder, 'status');
    const groups = Array.from({ length: 2000 }, (_one, n) => 10_000 + n);
    writeFileSync(path, `Name:\tx\nGroups:\t${groups.join(' ')} \n`);
    expect(parseGroups(readProcFile(path))).toEqual(groups);
    writeFileSync(path, `Groups:\t4 \n${'x'.repeat(4096 - 11)}`);
    expect(readProcFile(path)).toHaveLength(4096);
  });

  test('of two accounts with one number the first counts; broken lines name nobody', () => {
    const names = parseAccounts('root:x:0:0::/:/bin/sh\ntoor:x:0:0\n:x:5:\nbad:x:-1:\nx\n#a:b:7\n');
    expect([...names]).toEqual([
      [0, 'root'],
      [7, '#a'],
    ]);
  });

  test('a changed passwd file is read again, and one that is gone names nobody', () => {
    const path = join(folder, 'passwd');
    writeFileSync(path, 'ann:x:1000:1000\n');
    const accounts = openAccounts(path, path);
    expect(accounts.user(1000)).toBe('ann');
    writeFileSync(path, 'berta:x:1000:1000::\n');
    expect(accounts.user(1000)).toBe('berta');
    rmSync(path);
    expect(accounts.user(1000)).toBeUndefined();
  });

  test('a digest is kept under the file that was pinned: another process’ file gives none', async () => {
    const own = readProcess(process.pid);
    if (own === undefined) throw new Error('no procfs');
    const digests = createExecutableDigests(0);
    const sha256 = createHash('sha256').update(readFileSync(process.execPath)).digest('hex');
    const pinned = { ...own.exe, ino: '1' };
    await digests.prepare(process.pid, pinned);
    expect(digests.of(pinned)).toBeUndefined();
    await digests.prepare(process.pid, own.exe);
    expect(digests.of(own.exe)).toBe(sha256);
    const never = createExecutableDigests(-1);
    await never.prepare(process.pid, own.exe);
    expect(never.of(own.exe)).toBeUndefined();
  });
});
