import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  ensureDependencies,
  installedDifference,
  lockDifference,
  withoutProject,
} from '#runtime/tools/dependencies.mjs';
import { script, temporaryFolder } from './machine.ts';

const locked = {
  '': {},
  'node_modules/a': { version: '1.0.0', integrity: 'sha512-a' },
  'node_modules/b-darwin': { version: '1.0.0', optional: true },
};
const installed = { 'node_modules/a': { version: '1.0.0', integrity: 'sha512-a' } };

describe('what is installed', () => {
  test('agrees when only packages of other platforms are absent', () => {
    expect(lockDifference(locked, installed)).toBe('');
  });

  test.each([
    ['a missing package', {}, 'node_modules/a is missing'],
    [
      'another version',
      { 'node_modules/a': { version: '0.9.0', integrity: 'sha512-a' } },
      'node_modules/a is 0.9.0, locked is 1.0.0',
    ],
    [
      'a package beside the lock file',
      { ...installed, 'node_modules/c': { version: '1.0.0' } },
      'node_modules/c is not in the lock file',
    ],
  ])('%s is a difference', (_name, there, difference) => {
    expect(lockDifference(locked, there)).toBe(difference);
  });

  test('differs when a folder was removed behind npm', () => {
    const folder = temporaryFolder();
    const note = (path: string, packages: unknown) => {
      mkdirSync(join(folder.path, path, '..'), { recursive: true });
      writeFileSync(join(folder.path, path), JSON.stringify({ packages }));
    };
    note('package-lock.json', locked);
    expect(installedDifference(folder.path)).toBe('node_modules is missing');
    note('node_modules/.package-lock.json', installed);
    expect(installedDifference(folder.path)).toBe('node_modules/a is missing');
    mkdirSync(join(folder.path, 'node_modules/a'));
    expect(installedDifference(folder.path)).toBe('');
    folder.remove();
  });
});

test('npm runs without the executables that it is about to replace', () => {
  const environment = {
    PATH: '/p/node_modules/.bin:/usr/bin',
    npm_config_loglevel: 'silent',
    A: 'b',
  };
  expect(withoutProject(environment, '/p')).toEqual({ PATH: '/usr/bin', A: 'b' });
});

describe('when npm fails', () => {
  test("its reason is told in one line, without npm's own marks", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder.path, 'package-lock.json'), JSON.stringify({ packages: locked }));
    script(
      join(folder.path, 'bin', 'npm'),
      'echo "npm error code ENOTFOUND" >&2; echo "npm error network request failed" >&2; exit 1',
    );
    const done = await ensureDependencies({
      root: folder.path,
      environment: { PATH: join(folder.path, 'bin') },
      say: () => {},
      self: { path: '/usr/bin/node', version: '20.0.0' },
    });
    expect(done).toEqual({
      ok: false,
      why: 'npm ci failed: code ENOTFOUND; network request failed',
    });
    folder.remove();
  });

  test('a Node whose install script did not run is rebuilt, and if that fails the fix is named', async () => {
    const folder = temporaryFolder();
    const said: string[] = [];
    script(join(folder.path, 'bin', 'npm'), 'exit 0');
    const done = await ensureDependencies({
      root: folder.path,
      environment: { PATH: join(folder.path, 'bin') },
      say: (line) => said.push(line),
      self: { path: '/usr/bin/node', version: '20.0.0' },
    });
    expect(said).toEqual(['packages: npm rebuild node (its install script did not run)']);
    expect(done).toMatchObject({ ok: false, why: expect.stringContaining('npm rebuild node') });
    folder.remove();
  });
});
