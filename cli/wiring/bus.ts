import { randomBytes } from 'node:crypto';
import type { BusAlarm } from '#bus/client/alarms.ts';
import { type BusClient, createBusClient } from '#bus/client/bus-client.ts';
import type { Propagate } from '#bus/client/envelope.ts';
import type { Directory, Member } from '#bus/directory.ts';
import { type SpiffeId, spiffeId } from '#identity/spiffe-id.ts';
import type { X509Source } from '#identity/svid.ts';
import { createDoor } from './door.ts';
import type { Standing } from './standing.ts';

/** A member's bus client over the clock and randomness of this process. */
export function openBus(options: {
  readonly self: Member;
  readonly directory: Directory;
  readonly source: X509Source;
  readonly url: string;
  readonly brokerId: SpiffeId | string;
  /** Which certificates are stated as issued: a message under another is refused. */
  readonly standing: Standing;
  readonly propagate?: Propagate;
  /** Tells what did not come, past the broker. */
  readonly onAlarm: (alarm: BusAlarm) => void;
}): Promise<BusClient> {
  return createBusClient({
    ...options,
    brokerId: spiffeId(options.brokerId),
    createDoor,
    clock: Date.now,
    // The former process of this name was gone before this one began.
    startedAt: performance.timeOrigin,
    random: (size) => randomBytes(size),
    // Refusals are counted by the client and recorded in the ledger; the log has them at once.
    onRefusal: ({ code, detail, presentedBy }) => {
      process.stderr.write(`refused ${code} presented_by=${presentedBy ?? 'unknown'}: ${detail}\n`);
    },
  });
}
