import { describe, expect, test } from 'vitest';
import { NEEDED, TOOLS, WANTED } from '#runtime/tools/catalog.mjs';
import { provision, refuseVersion } from '#runtime/tools/provision.mjs';
import { compareVersions } from '#runtime/tools/versions.mjs';
import { serve, temporaryFolder } from './machine.ts';

describe('releases', () => {
  const platforms = ['linux-x64', 'linux-arm64', 'darwin-x64', 'darwin-arm64'];
  const rows = Object.values(TOOLS)
    .filter((tool) => Object.keys(tool.release.files).length > 0)
    .flatMap((tool) => platforms.map((platform) => [tool.name, platform] as const));
  test.each(rows)('%s for %s is asked by its own file name', async (name, platform) => {
    const tool = Object.values(TOOLS).find((one) => one.name === name);
    if (tool === undefined) throw new Error('unreachable');
    const asked: (string | undefined)[] = [];
    const server = await serve((request, answer) => {
      asked.push(request.url);
      answer.writeHead(404).end();
    });
    const folder = temporaryFolder();
    const [os = '', arch = ''] = platform.split('-');
    await provision(
      { ...tool, exactly: '0.0.0', name: 'absent' },
      {
        toolsFolder: folder.path,
        environment: { PATH: '/nowhere' },
        platform: os,
        arch,
        say: () => {},
        releaseBase: server.url,
      },
    );
    const word = `${os}.${arch === 'x64' ? 'amd64' : arch}`.replace('.', '[-_]');
    expect(asked).toHaveLength(1);
    expect(asked[0]).toMatch(new RegExp(`^/${name}.*${word}`));
    await server.close();
    folder.remove();
  });

  test('no sum of jaeger is pinned, so nothing of it is downloaded', async () => {
    const server = await serve((_request, answer) => void answer.writeHead(500).end());
    const folder = temporaryFolder();
    const found = await provision(TOOLS.jaeger, {
      toolsFolder: folder.path,
      environment: { PATH: '/nowhere' },
      platform: 'linux',
      arch: 'x64',
      say: () => {},
      releaseBase: server.url,
    });
    expect(found).toMatchObject({
      ok: false,
      byHand: expect.stringContaining('SWARMPROOF_JAEGER'),
    });
    expect(found.ok ? [] : found.reasons).toContain('release: no pinned SHA-256 for linux-x64');
    await server.close();
    folder.remove();
  });

  test('every file has a whole SHA-256 and no two files share one', () => {
    const sums = Object.values(TOOLS).flatMap((tool) =>
      Object.values(tool.release.files).map(({ sha256 }) => sha256),
    );
    for (const sum of sums) expect(sum).toMatch(/^[0-9a-f]{64}$/);
    expect(new Set(sums).size).toBe(sums.length);
  });

  test('a running swarm needs no policy compiler, and tests run without one', () => {
    expect(NEEDED.demo.map(({ name }) => name)).toEqual(['nats-server']);
    expect(WANTED.demo).toEqual([]);
    expect(NEEDED.test.map(({ name }) => name)).toEqual(['nats-server']);
    expect(WANTED.test.map(({ name }) => name)).toEqual(['opa']);
  });

  test('jaeger is fetched for nothing but itself', () => {
    const users = Object.entries({ ...NEEDED }).filter(([purpose, tools]) =>
      [...tools, ...WANTED[purpose as keyof typeof WANTED]].some(({ name }) => name === 'jaeger'),
    );
    expect(users.map(([purpose]) => purpose)).toEqual(['jaeger']);
  });
});

describe('versions', () => {
  test('are compared by number', () => {
    expect(compareVersions('2.9.10', '2.11.0')).toBeLessThan(0);
    expect(compareVersions('2.11', '2.11.0')).toBe(0);
    expect(compareVersions('10.0.0', '9.9.9')).toBeGreaterThan(0);
  });

  test('nats-server before 2.11 is refused, 2.11.0 is not', () => {
    expect(refuseVersion(TOOLS['nats-server'], '2.10.29', false)).toContain('2.11.0 or newer');
    expect(refuseVersion(TOOLS['nats-server'], '2.11.0', false)).toBe('');
  });

  test('jaeger 1 is refused: it takes no configuration of the kind that is written here', () => {
    expect(refuseVersion(TOOLS.jaeger, '1.76.0', true)).toContain('2.0.0 or newer');
    expect(refuseVersion(TOOLS.jaeger, '2.19.0', false)).toBe('');
    const said = '{"gitCommit":"","gitVersion":"v2.13.0","buildDate":""}';
    expect(TOOLS.jaeger.versionPattern.exec(said)?.[1]).toBe('2.13.0');
  });

  test('another opa is taken when the user names it, and not when it was only found', () => {
    expect(refuseVersion(TOOLS.opa, '1.20.0', false)).toContain('exactly 1.19.1');
    expect(refuseVersion(TOOLS.opa, '1.20.0', true)).toBe('');
    expect(refuseVersion(TOOLS.opa, '0.60.0', true)).toContain('1.0.0 or newer');
  });
});
