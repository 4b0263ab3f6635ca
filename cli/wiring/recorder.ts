import type { BusClient } from '#bus/client/bus-client.ts';
import { GATE_CODES } from '#bus/codes.ts';
import { encodeAck } from '#custody/ack.ts';
import { createRefusalTally } from '#custody/refusals.ts';

/**
 * The supervisor's word in the ledger about refusals that no door can record itself: the issuer's,
 * and the gates', who have no place on the bus. Aggregated like every door's, so that whoever
 * knocks a thousand times a second writes one entry a second.
 */
export interface Recorder {
  /** `detail` begins with a code: `NOT_LAUNCHED: …`. */
  denied(pid: number, detail: string): void;
  /**
   * A gate let a connection not in; who it was is not known, or not proven. Of any other process,
   * and with a code that no gate gives, nothing is recorded: it would be this process's word.
   */
  gateRefused(gate: string, code: string): void;
  /** From now on refusals are not recorded: processes that are being stopped leave as they can. */
  ending(): void;
  /** What was refused before the bus was there is recorded now. */
  attach(bus: Pick<BusClient, 'record'>): void;
  close(): Promise<void>;
}

const FLUSH_EVERY_MS = 1000;
const GATES: ReadonlySet<string> = new Set(['gate-a', 'gate-b']);
const CODE = /^([A-Z][A-Z0-9_]{2,63}):/;

export function createRecorder(clock: () => number): Recorder {
  const tally = createRefusalTally({ clock });
  let ending = false;
  let bus: Pick<BusClient, 'record'> | undefined;

  async function flush(all: boolean): Promise<void> {
    if (bus === undefined) return;
    const to = bus;
    await Promise.all(
      tally
        .take({ all })
        // Recorded when the ledger confirms it; a bus that closes first takes it along.
        .map((refusal) => to.record({ kind: 'ack', payload: encodeAck(refusal) }).catch(() => {})),
    );
  }
  const timer = setInterval(() => void flush(false), FLUSH_EVERY_MS);
  timer.unref();

  return {
    ending: () => {
      ending = true;
    },
    denied: (pid, detail) => {
      if (ending) return;
      const code = CODE.exec(detail)?.[1] ?? 'WORKLOAD_DENIED';
      tally.add({ code, presented_by: `pid-${pid}`, subject: 'workload-api' });
    },
    gateRefused: (gate, code) => {
      if (ending || !GATES.has(gate) || !Object.hasOwn(GATE_CODES, code)) return;
      tally.add({ code, presented_by: 'unknown', subject: gate });
    },
    attach: (to) => {
      bus = to;
      void flush(false);
    },
    close: async () => {
      clearInterval(timer);
      await flush(true);
    },
  };
}
