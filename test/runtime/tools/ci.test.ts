import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { script, temporaryFolder } from './machine.ts';

const RUN = new URL('../../../.ci/run', import.meta.url).pathname;

let folder: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => folder.remove());

const GOOD = 'echo "12 passed, 0 failed, 1 skipped"';

/** `.ci/run` with an npm whose two suites print and end as given. */
function ci(npm: string, slow = GOOD): { code: number | null; last?: string; asked: string[] } {
  const body = `echo "asked: $*"; if [ "$1" = test ]; then ${npm}; else ${slow}; fi`;
  script(join(folder.path, 'npm'), body);
  const PATH = `${folder.path}:/usr/bin:/bin`;
  const { status, stdout } = spawnSync(RUN, { env: { PATH }, encoding: 'utf8' });
  const lines = stdout.trimEnd().split('\n');
  const asked = lines.filter((line) => line.startsWith('asked: ')).map((line) => line.slice(7));
  return { code: status, last: lines.at(-1) ?? '', asked };
}

test('runs both suites and ends with the sum of their counts', () => {
  expect(ci(GOOD, 'echo "3 passed, 0 failed, 2 skipped"')).toEqual({
    code: 0,
    last: '15 passed, 0 failed, 3 skipped',
    asked: ['test', 'run test:slow'],
  });
});

test.each([
  [
    'a failed test',
    'echo "11 passed, 1 failed, 0 skipped"; echo "npm error" >&2; exit 1',
    '23 passed, 1 failed, 1 skipped',
    1,
  ],
  [
    'lint or types, before any test',
    'echo "Found 1 error"; exit 1',
    '12 passed, 1 failed, 1 skipped',
    1,
  ],
  ['a crash after the tests', `${GOOD}; exit 134`, '24 passed, 1 failed, 2 skipped', 134],
  [
    'counted failures with a good exit code',
    'echo "1 passed, 2 failed, 0 skipped"',
    '13 passed, 2 failed, 1 skipped',
    1,
  ],
  ['no test at all', 'exit 0', '12 passed, 1 failed, 1 skipped', 1],
])('%s fails, in either suite', (_name, npm, last, code) => {
  expect(ci(npm)).toMatchObject({ code, last });
  expect(ci(GOOD, npm)).toMatchObject({ code, last });
});
