import { spiffeId } from '#identity/spiffe-id.ts';
import type { X509Source } from '#identity/svid.ts';
import { openX509Source } from '#identity/workload-api/client.ts';
import type { StartMessage } from '#runtime/process-protocol.ts';
import { openLoggedSource } from './logged-source.ts';
import type { ProcessContext } from './process.ts';
import type { Standing } from './standing.ts';

/**
 * The process's own identity by the Workload API. Where it is refused the launcher is told, and
 * this waits on: a process in quarantine lives, and gets nothing. An SVID is used when it is stated as
 * issued, and not before.
 */
export async function identityOf(
  { start, report }: ProcessContext,
  standing: Standing,
): Promise<X509Source> {
  const source = await openX509Source({
    socketPath: start.workloadSocket,
    trustDomain: start.trustDomain,
    onState: (state) => {
      if (state.kind === 'denied') report({ type: 'quarantined', detail: state.detail });
    },
  });
  return openLoggedSource(source, standing, Date.now);
}

export function brokerOf(start: StartMessage): {
  url: string;
  brokerId: ReturnType<typeof spiffeId>;
} {
  if (start.natsUrl === undefined || start.brokerId === undefined) {
    throw new Error('start message names no broker');
  }
  return { url: start.natsUrl, brokerId: spiffeId(start.brokerId) };
}
