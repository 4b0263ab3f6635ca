import { openLink } from '#bus/client/link.ts';
import { type LedgerView, openLedgerView } from '#cli/wiring/ledger-view.ts';
import { MEMBERS } from '#test/support/swarm.ts';
import type { LedgerBench } from './process.ts';

export interface Reader {
  readonly view: LedgerView;
  /** What was said of storage: nothing, as long as it holds what was witnessed. */
  readonly faults: readonly string[];
  close(): Promise<void>;
}

/** Reads the ledger as the supervisor does. */
export async function openReader({ swarm, policy }: LedgerBench): Promise<Reader> {
  const source = await swarm.source(MEMBERS.supervisor);
  const link = await openLink({
    ...swarm.connection(source),
    nkeySeed: swarm.broker.operatorSeed,
  });
  const faults: string[] = [];
  const view = await openLedgerView({
    link,
    self: MEMBERS.supervisor,
    policyAt: () => policy,
    onRewritten: (detail) => faults.push(detail),
  });
  const close = async (): Promise<void> => {
    view.close();
    await link.close();
  };
  return { view, faults, close };
}
