import { expect, test } from 'vitest';
import { withDenials } from '#cli/wiring/denials.ts';
import type { ProcessStatus } from '#runtime/supervisor/status.ts';

const process = (changes: Partial<ProcessStatus>): ProcessStatus => ({
  name: 'cam-1',
  state: 'ready',
  restarts: 0,
  since: '2026-01-01T00:00:00Z',
  ...changes,
});

test('a quarantined process is shown with the code that the issuer gave, and no other is', () => {
  const status = withDenials(
    {
      state: 'running',
      at: '2026-01-01T00:00:00Z',
      processes: [
        process({ state: 'quarantined', pid: 7, detail: 'no identity issued' }),
        process({ state: 'quarantined', pid: 8, detail: 'no identity issued' }),
        process({ pid: 7, detail: 'well' }),
      ],
    },
    (pid) => (pid === 7 ? 'NO_ENTRY: no registration entry for process 7' : undefined),
  );
  expect(status.processes.map(({ detail }) => detail)).toEqual([
    'NO_ENTRY: no registration entry for process 7',
    'no identity issued',
    'well',
  ]);
});
