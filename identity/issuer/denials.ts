import { processKey } from './entitlement.ts';
import type { WorkloadServerOptions } from './workload-server.ts';

const REMEMBERED = 4096;

/** A refused client tries again and again; the launcher is told of each process and reason once. */
export function oncePerProcess(
  emit: (pid: number, detail: string) => void,
): WorkloadServerOptions['denied'] {
  const told = new Set<string>();
  return ({ pid, startTime }, code, detail) => {
    const key = `${processKey({ pid, startTime })} ${code}`;
    if (told.has(key)) return;
    const oldest = told.size >= REMEMBERED ? told.values().next().value : undefined;
    if (oldest !== undefined) told.delete(oldest);
    told.add(key);
    emit(pid, `${code}: ${detail}`);
  };
}
