import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import type { RequestListener } from 'node:http';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Tool } from '#runtime/tools/catalog.mjs';
import { type Place, provision } from '#runtime/tools/provision.mjs';
import { script, serve, temporaryFolder } from './machine.ts';

/** Far above what loopback takes; the others are for servers that never answer, or stop to. */
const LIMITS = { connectMs: 30_000, idleMs: 30_000, totalMs: 60_000, maxBytes: 1024 * 1024 };
const SILENT = { ...LIMITS, connectMs: 300 };
const STALLED = { ...LIMITS, idleMs: 300 };

let folder: ReturnType<typeof temporaryFolder>;
let closers: (() => Promise<void>)[] = [];
let lines: string[] = [];

beforeEach(() => {
  folder = temporaryFolder();
  lines = [];
});
afterEach(async () => {
  for (const close of closers) await close();
  closers = [];
  folder.remove();
});

/** A made-up release of `widget` that says its version, packed as publishers do. */
function archiveOf(version: string): { bytes: Buffer; sha256: string } {
  script(join(folder.path, 'made', 'widget-1', 'widget'), `echo "widget v${version}"`);
  const path = join(folder.path, 'widget.tar.gz');
  execFileSync('tar', ['-czf', path, '-C', join(folder.path, 'made'), 'widget-1/widget']);
  const bytes = readFileSync(path);
  return { bytes, sha256: createHash('sha256').update(bytes).digest('hex') };
}

function widget(sha256: string, platform = 'linux-x64'): Tool {
  return {
    name: 'widget',
    variable: 'SWARMPROOF_WIDGET',
    versionArgs: ['--version'],
    versionPattern: /v(\d+\.\d+\.\d+)/,
    minimum: '2.0.0',
    why: 'older ones know no gears',
    release: {
      base: 'http://127.0.0.1:1',
      files: { [platform]: { file: 'widget.tar.gz', sha256, member: 'widget-1/widget' } },
    },
    go: { module: 'widget.example/widget', version: 'v2.1.0' },
    byHand: { linux: 'ask your widget maker', other: 'see widget.example' },
  };
}

function place(over: Partial<Place> = {}): Place {
  return {
    toolsFolder: join(folder.path, 'tools'),
    environment: { PATH: '/usr/bin:/bin' },
    platform: 'linux',
    arch: 'x64',
    limits: LIMITS,
    say: (line) => lines.push(line),
    ...over,
  };
}

async function release(listener: RequestListener): Promise<string> {
  const server = await serve(listener);
  closers.push(server.close);
  return server.url;
}

describe('order of the ways', () => {
  test('the environment variable wins over PATH and cache', async () => {
    const named = script(join(folder.path, 'named'), 'echo v3.0.0');
    script(join(folder.path, 'bin', 'widget'), 'echo v2.5.0');
    const environment = { PATH: join(folder.path, 'bin'), SWARMPROOF_WIDGET: named };
    const found = await provision(widget(''), place({ environment }));
    expect(found).toMatchObject({ ok: true, path: named, source: 'SWARMPROOF_WIDGET' });
  });

  test('an environment variable that names nothing usable is an error, not a hint', async () => {
    script(join(folder.path, 'bin', 'widget'), 'echo v2.5.0');
    const environment = {
      PATH: join(folder.path, 'bin'),
      SWARMPROOF_WIDGET: script(join(folder.path, 'old'), 'echo v1.9.9'),
    };
    const found = await provision(widget(''), place({ environment }));
    expect(found).toMatchObject({ ok: false, byHand: 'correct or unset SWARMPROOF_WIDGET' });
    expect(found.ok === false && found.reasons.join()).toContain('needed is 2.0.0 or newer');
    expect(lines).toEqual([]);
  });

  test('one on the PATH is used when it is new enough, and passed over when not', async () => {
    const path = script(join(folder.path, 'bin', 'widget'), 'echo v2.10.0');
    const environment = { PATH: join(folder.path, 'bin') };
    const found = await provision(widget(''), place({ environment }));
    expect(found).toMatchObject({ ok: true, path, version: '2.10.0', source: 'PATH' });
    script(path, 'echo v1.20.0');
    const { bytes, sha256 } = archiveOf('2.1.0');
    const releaseBase = await release((_, answer) => answer.end(bytes));
    const PATH = `${join(folder.path, 'bin')}:/usr/bin:/bin`;
    const fetched = await provision(widget(sha256), place({ environment: { PATH }, releaseBase }));
    expect(fetched).toMatchObject({ ok: true, version: '2.1.0' });
  });

  test('a second run takes the cache and asks no network', async () => {
    const { bytes, sha256 } = archiveOf('2.1.0');
    let asked = 0;
    const releaseBase = await release((_, answer) => {
      asked += 1;
      answer.end(bytes);
    });
    expect((await provision(widget(sha256), place({ releaseBase }))).ok).toBe(true);
    expect(await provision(widget(sha256), place({ releaseBase }))).toMatchObject({
      ok: true,
      path: join(folder.path, 'tools', 'widget'),
      source: 'cache (release widget.tar.gz)',
    });
    expect(asked).toBe(1);
  });

  test('without a way, every reason is one line and the last names what to do by hand', async () => {
    const found = await provision(widget('', 'plan9-mips'), place());
    expect(found).toMatchObject({
      ok: false,
      byHand: 'ask your widget maker, or set SWARMPROOF_WIDGET to its path',
      reasons: [
        'PATH: not there',
        'cache: not there',
        'release: no pinned SHA-256 for linux-x64',
        'apt: not in Debian or Ubuntu',
        'go: no go',
      ],
    });
    expect(readdirSync(join(folder.path, 'tools'))).toEqual([]);
  });
});

describe('the download', () => {
  test('an archive with the pinned sum is unpacked, tried and kept', async () => {
    const { bytes, sha256 } = archiveOf('2.1.0');
    const releaseBase = await release((_, answer) => answer.end(bytes));
    const found = await provision(widget(sha256), place({ releaseBase }));
    expect(found).toMatchObject({ ok: true, version: '2.1.0' });
    expect(lines.at(-1)).toBe('widget: 2.1.0 from release widget.tar.gz');
    expect(readdirSync(join(folder.path, 'tools')).sort()).toEqual(['widget', 'widget.json']);
  });

  const { bytes: other } = { bytes: Buffer.from('something else') };
  const wrong: [string, (good: Buffer) => RequestListener, RegExp][] = [
    ['another content', () => (_, answer) => answer.end(other), /SHA-256 of 14 bytes is .* pinned/],
    ['half of it', (good) => (_, answer) => answer.end(good.subarray(0, 100)), /SHA-256 of 100 /],
    [
      'a connection cut in the middle',
      (good) => (_, answer) => {
        answer.writeHead(200, { 'content-length': good.length });
        answer.write(good.subarray(0, 100), () => answer.destroy());
      },
      /release: .+/,
    ],
    ['404', () => (_, answer) => answer.writeHead(404).end(), /answered 404/],
    ['no answer', () => () => {}, /no answer within 0\.3 s/],
    [
      'a body that stalls',
      (good) => (_, answer) => {
        answer.write(good.subarray(0, 100));
      },
      /stalled for 0\.3 s/,
    ],
    [
      'more than the limit',
      () => (_, answer) => answer.end(Buffer.alloc(LIMITS.maxBytes + 1)),
      /larger than 1048576 bytes/,
    ],
  ];
  test.each(wrong)('%s is refused and nothing of it stays', async (name, listener, why) => {
    const { bytes, sha256 } = archiveOf('2.1.0');
    const releaseBase = await release(listener(bytes));
    const limits = name === 'no answer' ? SILENT : name === 'a body that stalls' ? STALLED : LIMITS;
    const found = await provision(widget(sha256), place({ releaseBase, limits }));
    expect(found.ok).toBe(false);
    const reason = found.ok ? '' : found.reasons.find((line) => line.startsWith('release: '));
    expect(reason).toMatch(why);
    expect(readdirSync(join(folder.path, 'tools'))).toEqual([]);
  });

  test('a genuine archive of a version that is too old is not kept', async () => {
    const { bytes, sha256 } = archiveOf('1.0.0');
    const releaseBase = await release((_, answer) => answer.end(bytes));
    const found = await provision(widget(sha256), place({ releaseBase }));
    expect(found.ok).toBe(false);
    expect(existsSync(join(folder.path, 'tools', 'widget'))).toBe(false);
  });
});

test('two runs at once fetch it once', async () => {
  const { bytes, sha256 } = archiveOf('2.1.0');
  let asked = 0;
  const releaseBase = await release((_, answer) => {
    asked += 1;
    answer.end(bytes);
  });
  const found = await Promise.all(
    [1, 2, 3].map(() => provision(widget(sha256), place({ releaseBase }))),
  );
  expect(found.map(({ ok }) => ok)).toEqual([true, true, true]);
  expect(asked).toBe(1);
});
