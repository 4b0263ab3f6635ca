import type { Reporter, TestModule } from 'vitest/node';

/**
 * Closes a run with what failed, a line each (`FAILED file > test: message`), and with one
 * machine-readable line: `N passed, N failed, N skipped`.
 */
export default class ClosingLine implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[]): void {
    const count = { passed: 0, failed: 0, skipped: 0 };
    const failures: string[] = [];
    const fail = (what: string, errors: readonly unknown[] = []): void => {
      count.failed += 1;
      failures.push(`FAILED ${what}: ${firstLine(errors[0])}\n`);
    };
    for (const error of unhandled) fail('outside of any test', [error]);
    for (const module of modules) {
      for (const test of module.children.allTests()) {
        const { state, errors } = test.result();
        if (state === 'passed') count.passed += 1;
        else if (state === 'failed') fail(`${module.relativeModuleId} > ${test.fullName}`, errors);
        else count.skipped += 1;
      }
      // A file that fails to load has no tests to count, and is a failure all the same.
      if (module.errors().length > 0) fail(module.relativeModuleId, module.errors());
    }
    process.on('exit', () => {
      process.stdout.write(
        `${failures.join('')}${count.passed} passed, ${count.failed} failed, ${count.skipped} skipped\n`,
      );
    });
  }
}

function firstLine(error: unknown): string {
  const message =
    typeof error === 'object' && error !== null && 'message' in error ? String(error.message) : '';
  return (message.split('\n')[0] ?? '').slice(0, 300);
}
