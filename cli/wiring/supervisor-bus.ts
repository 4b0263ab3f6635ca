import type { BusClient } from '#bus/client/bus-client.ts';
import type { Propagate } from '#bus/client/envelope.ts';
import { type BusLink, openLink } from '#bus/client/link.ts';
import { createDirectory } from '#bus/directory.ts';
import type { X509Source } from '#identity/svid.ts';
import { platformMember } from '#runtime/swarm-file/resolve.ts';
import type { Alarms } from './alarms.ts';
import { openBus } from './bus.ts';
import { policyAt } from './custody-policy.ts';
import { type LedgerView, openLedgerView } from './ledger-view.ts';
import type { PlanContext } from './plan.ts';

/** What the supervisor itself has on the bus: a reader of the ledger, and a voice of its own. */
export interface SupervisorBus {
  readonly ledger: LedgerView;
  readonly bus: BusClient;
  readonly source: X509Source;
  close(): Promise<void>;
}

/** The reader holds the operator's pinned key, which reads the stored entries; the voice does not. */
export async function openSupervisorBus(
  context: PlanContext,
  source: X509Source,
  propagate: Propagate,
  alarms: Pick<Alarms, 'raise' | 'over'>,
): Promise<SupervisorBus> {
  const { swarm, keys } = context;
  const self = platformMember(swarm.trustDomain, 'supervisor');
  const brokerId = platformMember(swarm.trustDomain, 'nats').id;
  const url = context.natsUrl();
  const reader: BusLink = await openLink({
    source,
    url,
    brokerId,
    nkeySeed: keys.operator.seed,
    clock: Date.now,
    random: Math.random,
  });
  try {
    const ledger = await openLedgerView({
      link: reader,
      self,
      policyAt: (size) => policyAt(context.witnesses.policies(), size),
      onRewritten: (detail) => alarms.raise('LEDGER_REWRITTEN', detail, 'ledger'),
    });
    const directory = createDirectory(swarm.members);
    const { standing } = context.issuances;
    const bus = await openBus({
      self,
      directory,
      source,
      url,
      brokerId,
      standing,
      propagate,
      onAlarm: ({ code, about, detail, over }) =>
        over ? alarms.over(code, about) : alarms.raise(code, detail, about),
    });
    const close = async (): Promise<void> => {
      await bus.close();
      ledger.close();
      await reader.close();
      source.close();
    };
    return { ledger, bus, source, close };
  } catch (error) {
    // Left open it would go on trying, and keep a process alive that has failed to start.
    await reader.close();
    throw error;
  }
}
