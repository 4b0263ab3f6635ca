import type { BenchResult } from '../record.ts';

export type { BenchResult } from '../record.ts';

/** Processor time per run, in µs: the machine's other work is not measured. */
export function micros(runs: number, work: () => void): number {
  const start = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / runs;
}

export function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

export function row(name: string, value: number, unit: string): BenchResult {
  return { name, value, unit };
}
