import type { SwarmStatus } from '#runtime/supervisor/status.ts';

/**
 * A quarantined process knows only that it has no identity; why, the issuer told the launcher and
 * not the process. What is shown begins with the code.
 */
export function withDenials(
  status: SwarmStatus,
  denialOf: (pid: number) => string | undefined,
): SwarmStatus {
  const processes = status.processes.map((one) => {
    const denial =
      one.state === 'quarantined' && one.pid !== undefined ? denialOf(one.pid) : undefined;
    return denial === undefined ? one : { ...one, detail: denial };
  });
  return { ...status, processes };
}
