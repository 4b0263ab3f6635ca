import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { CHECKOUT } from '#cli/wiring/checkout.ts';

test('a reader that leaves ends a command without a word', async () => {
  const flags = '--disable-sigusr1 --disable-warning=ExperimentalWarning';
  const main = join(CHECKOUT, 'cli', 'main.ts');
  // `true` is gone long before the first line is written.
  const line = `{ "${process.execPath}" ${flags} "${main}" scenarios; echo "code $?" >&2; } | true`;
  const shell = spawn('/bin/sh', ['-c', line], { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  shell.stderr.on('data', (data: Buffer) => {
    said += data.toString();
  });
  await once(shell, 'close');
  expect(said).toBe('code 0\n');
});
