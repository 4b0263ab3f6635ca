import { defineConfig } from 'vitest/config';

const SLOW = 'test/**/*.slow.test.ts';

/** `--mode slow` runs the tests that start whole swarms, or kill for minutes, and no others. */
export default defineConfig(({ mode }) => ({
  test: {
    include: [mode === 'slow' ? SLOW : 'test/**/*.test.ts'],
    exclude: mode === 'slow' ? [] : [SLOW],
    globalSetup: ['./test/images.ts'],
    // Integration tests start real servers: two cores carry two files at a time, or one whole swarm.
    maxWorkers: mode === 'slow' ? 1 : 2,
    // Far above what any test takes: they end what hangs, and say nothing about speed.
    testTimeout: 60_000,
    hookTimeout: 120_000,
    expect: { poll: { timeout: 30_000 } },
    reporters: ['default', './test/reporter.ts'],
  },
}));
