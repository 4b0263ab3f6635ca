import type { BusClient } from '#bus/client/bus-client.ts';
import { GATE_CODES } from '#bus/codes.ts';
import { note } from '#bus/telemetry.ts';
import { parseViolation, type Violation } from '#bus/violation.ts';
import { encodeAck, type RefusalPayload } from '#custody/ack.ts';
import { createRefusalTally } from '#custody/refusals.ts';
import { type SpiffeId, spiffeId } from '#identity/spiffe-id.ts';
import type { BrokerCode } from '../codes.ts';

/**
 * The supervisor's word in the ledger about refusals that no door can record itself: the issuer's,
 * the gates', who have no place on the bus, and the broker's, who signs nothing: its log names the
 * member of a connection as the gate did when it let it in. Aggregated like every door's, so that whoever
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
  /** A line of the broker's log; only one that tells what it denied a member is recorded. */
  brokerSaid(line: string): void;
  /** From now on refusals are not recorded: processes that are being stopped leave as they can. */
  ending(): void;
  /** What was refused before the bus was there is recorded now. */
  attach(bus: Pick<BusClient, 'record'>): void;
  close(): Promise<void>;
}

const FLUSH_EVERY_MS = 1000;
const DENIED: Readonly<Record<Violation['kind'], BrokerCode>> = {
  publish: 'PUBLISH_DENIED',
  subscribe: 'SUBSCRIBE_DENIED',
};
const GATES: ReadonlySet<string> = new Set(['gate-a', 'gate-b']);
const CODE = /^([A-Z][A-Z0-9_]{2,63}):/;

/** A refusal in the moment in which this process learns of it; the ledger has it a second later. */
export type Observed = Pick<RefusalPayload, 'code' | 'presented_by' | 'subject'>;

export interface RecorderOptions {
  /** The token of a member, by its SPIFFE ID. */
  readonly tokenOf?: (id: string) => string | undefined;
  readonly onRefusal?: (refusal: Observed) => void;
}

export function createRecorder(clock: () => number, options: RecorderOptions = {}): Recorder {
  const tally = createRefusalTally({ clock });
  const add = (refusal: Observed, peer?: SpiffeId): void => {
    tally.add(refusal);
    const { code, subject: at } = refusal;
    // The subject of what the broker denied is its sender's own choice of words.
    note('admissionRefused', peer === undefined ? { code, at } : { code, at: 'broker', peer });
    options.onRefusal?.(refusal);
  };
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
      add({ code, presented_by: `pid-${pid}`, subject: 'workload-api' });
    },
    gateRefused: (gate, code) => {
      if (ending || !GATES.has(gate) || !Object.hasOwn(GATE_CODES, code)) return;
      add({ code, presented_by: 'unknown', subject: gate });
    },
    brokerSaid: (line) => {
      const violation = ending ? undefined : parseViolation(line);
      const token = violation && options.tokenOf?.(violation.id);
      if (violation === undefined || token === undefined) return;
      const code = DENIED[violation.kind];
      add({ code, presented_by: token, subject: violation.subject }, spiffeId(violation.id));
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
