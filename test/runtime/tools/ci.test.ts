import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { script, temporaryFolder } from './machine.ts';

const RUN = new URL('../../../.ci/run', import.meta.url).pathname;

let folder = temporaryFolder();
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => folder.remove());

/** `.ci/run` with an npm that prints and ends as given. */
function ci(npm: string): { code: number | null; last: string | undefined; asked: string } {
  script(join(folder.path, 'npm'), `echo "asked: $*"; ${npm}`);
  const PATH = `${folder.path}:/usr/bin:/bin`;
  const { status, stdout } = spawnSync(RUN, { env: { PATH }, encoding: 'utf8' });
  const lines = stdout.trimEnd().split('\n');
  return { code: status, last: lines.at(-1), asked: lines[0] ?? '' };
}

test('runs the command of the README and ends with its counts', () => {
  expect(ci('echo "12 passed, 0 failed, 1 skipped"')).toEqual({
    code: 0,
    last: '12 passed, 0 failed',
    asked: 'asked: test',
  });
});

test.each([
  [
    'a failed test',
    'echo "11 passed, 1 failed, 0 skipped"; echo "npm error" >&2; exit 1',
    '11 passed, 1 failed',
    1,
  ],
  ['lint or types, before any test', 'echo "Found 1 error"; exit 1', '0 passed, 1 failed', 1],
  [
    'a crash after the tests',
    'echo "12 passed, 0 failed, 0 skipped"; exit 134',
    '12 passed, 1 failed',
    134,
  ],
  [
    'counted failures with a good exit code',
    'echo "1 passed, 2 failed, 0 skipped"',
    '1 passed, 2 failed',
    1,
  ],
  ['no test at all', 'exit 0', '0 passed, 1 failed', 1],
])('%s fails', (_name, npm, last, code) => {
  expect(ci(npm)).toMatchObject({ code, last });
});
