import type { AgentBus } from '#agents/bus.ts';
import type { BusClient } from '#bus/client/bus-client.ts';
import { verifyRecorded } from '#custody/ledger/recorded.ts';
import type { LogPolicy } from '#custody/log/checkpoint.ts';
import type { RecordId } from '#custody/record.ts';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import type { Service } from '#services/service.ts';
import { openBus } from './bus.ts';
import { RECORDED_PATH } from './ledger-queries.ts';
import { brokerOf, identityOf } from './own-identity.ts';
import { logPolicyOf } from './pins.ts';
import { alarmsTo, directoryOf, type ProcessContext } from './process.ts';
import { standingOf } from './standing.ts';

/** An agent's or a service's place in the swarm: how it speaks, and how it is spoken to. */
export interface Membership {
  readonly bus: AgentBus;
  /** Requests to this service come in from now on. */
  serve(service: string, handle: Service['handle']): Promise<void>;
  /** Resolves when the record of this request is where nobody takes it back; else says why not. */
  recorded(cause: RecordId): Promise<Outcome<void>>;
  /** For the status report of an agent. */
  status(): Readonly<Record<string, unknown>>;
  close(): Promise<void>;
}

/** Longer than the ledger itself waits for the record. */
const LEDGER_TIMEOUT_MS = 10_000;
/** A tree that the witnesses saw longer ago says nothing of a ledger that has stopped, or is hidden. */
const MAX_WITNESSED_AGE_MS = 10_000;

/** By an SVID of its own, over the bus that signs and checks each message. */
export async function joinSwarm(context: ProcessContext): Promise<Membership> {
  const { start } = context;
  const standing = standingOf(context);
  const source = await identityOf(context, standing);
  const bus = await openBus({
    self: start.self,
    directory: directoryOf(start),
    source,
    ...brokerOf(start),
    standing,
    propagate: context.telemetry.propagate,
    onAlarm: alarmsTo(context.report),
  });
  const proves = recorded(bus, logPolicyOf(start));
  bus.watchInclusion(proves);
  return {
    bus: {
      send: (message) => bus.send(message),
      consume: (consumption) => bus.consume({ ...consumption, idOf }),
      request: (request) => bus.request(request),
      flush: () => bus.flush(),
    },
    serve: async (service, handle) => {
      await bus.serve({ service, handler: (request) => handle(request) });
    },
    recorded: proves,
    status: () => {
      const { sent, ledger, refusals, link } = bus.status();
      return { sent, ledger, refusals, rotations: link.rotations };
    },
    close: async () => {
      await bus.close();
      source.close();
    },
  };
}

/** The application's own id of a message: a re-signed one is the same message. */
function idOf(payload: Uint8Array): string | undefined {
  try {
    const { id } = Object(JSON.parse(Buffer.from(payload).toString('utf8')));
    return typeof id === 'string' ? id : undefined;
  } catch {
    return undefined;
  }
}

/**
 * High-risk tools act only on a cause that is in a tree which the witnesses have seen: whoever owns
 * ledger and broker can neither invent such a cause nor take it back.
 */
function recorded(bus: BusClient, policy: LogPolicy): (cause: RecordId) => Promise<Outcome<void>> {
  return async (cause) => {
    const result = await bus.request({
      service: 'ledger',
      request: {
        method: 'POST',
        path: RECORDED_PATH,
        contentType: 'application/json',
        body: JSON.stringify({ id: cause }),
      },
      causes: [cause],
      recordKind: 'tool.call',
      timeoutMs: LEDGER_TIMEOUT_MS,
    });
    if (!result.ok) return result;
    const { status, body } = result.payload;
    const answer: unknown = status === 200 ? JSON.parse(body) : { index: null };
    if (Object(answer).index === null) {
      return refuse('CAUSE_NOT_RECORDED', 'the ledger does not show that it holds the cause');
    }
    const asked = { id: cause, policy, now: Date.now(), maxAgeMs: MAX_WITNESSED_AGE_MS };
    const verdict = verifyRecorded(answer, asked);
    return verdict.ok ? accept(undefined) : verdict;
  };
}
