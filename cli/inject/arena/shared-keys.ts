import { dirname } from 'node:path';
import { fromText } from '#agents/json.ts';
import type { Arena, Instant, Seen } from '#scenarios/arena.ts';
import { type Envelope, parseAck, parseEnvelope } from '../../wiring/shared-keys/codec.ts';
import { connectWithKey } from '../../wiring/shared-keys/connect.ts';
import type { SharedKeysSwarm } from '../../wiring/shared-keys/swarm.ts';
import { observeWorksState } from '../../wiring/works-observer.ts';
import { openFoothold } from '../foothold.ts';

interface Heard {
  readonly at: Instant;
  readonly message: Envelope;
}

/**
 * The swarm as it was before. There is no ledger to look into; an operator with the key listens to
 * everything, and believes what messages say of themselves. Nobody is named by that: whoever has the
 * key writes any name.
 */
export async function sharedKeysArena(
  running: SharedKeysSwarm,
  end: () => Promise<void>,
): Promise<Arena> {
  const { swarm, run } = running;
  const nats = await connectWithKey(running.natsUrl, running.key);
  const heard = new Map<string, Heard>();
  const taken = new Set<string>();
  const listeners = new Set<() => void>();
  nats.subscribe('>', {
    callback: (_error, { data }) => {
      const message = parseEnvelope(data);
      const ack = message === undefined ? parseAck(data) : undefined;
      if (message !== undefined && !heard.has(message.id)) {
        heard.set(message.id, { at: process.hrtime.bigint(), message });
      }
      if (ack !== undefined) taken.add(ack.id);
      for (const look of listeners) look();
    },
  });
  await nats.flush();

  /** Resolves when `pick` finds something in what was heard. */
  function first<T>(pick: () => T | undefined, signal: AbortSignal): Promise<T> {
    return new Promise((resolve) => {
      const look = (): void => {
        const found = pick();
        if (found === undefined) return;
        listeners.delete(look);
        resolve(found);
      };
      listeners.add(look);
      signal.addEventListener('abort', () => listeners.delete(look));
      look();
    });
  }
  const isMarked = ({ kind, body }: Envelope, at: string): boolean => {
    const reading = kind === 'root' ? fromText(body) : undefined;
    return typeof reading === 'object' && reading !== null && 'at' in reading && reading.at === at;
  };
  /** By the senders' own account of what led to what. */
  function leads(id: string, at: string, seen = new Set<string>()): boolean {
    const found = heard.get(id);
    if (found === undefined || seen.has(id)) return false;
    seen.add(id);
    return isMarked(found.message, at) || found.message.causes.some((one) => leads(one, at, seen));
  }
  const works = () => observeWorksState(running.observe);
  const members = swarm.agents.map(({ member }) => member);

  async function recorded(at: string, signal: AbortSignal): Promise<Seen> {
    const id = await first(() => {
      const found = [...heard.values()].find(({ message }) => isMarked(message, at));
      return found !== undefined && taken.has(found.message.id) ? found.message.id : undefined;
    }, signal);
    return { at: process.hrtime.bigint(), text: `reading ${id.slice(0, 8)} taken` };
  }

  async function carriedOut(at: string, signal: AbortSignal): Promise<Seen> {
    while (!signal.aborted) {
      const seen = await works().catch(() => undefined);
      const order = seen?.orders.find((one) => leads(one.order, at));
      if (order !== undefined) {
        const text = `order ${order.order.slice(0, 8)} carried out`;
        return { at: process.hrtime.bigint(), text };
      }
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
    return new Promise(() => {});
  }

  return {
    name: 'shared keys',
    off: 'all',
    members,
    works,
    passed: (what, at, signal) =>
      what === 'recorded' ? recorded(at, signal) : carriedOut(at, signal),
    // Nobody here refuses anything.
    refused: () => new Promise(() => {}),
    open: (scenario, signal) =>
      openFoothold(
        {
          wiring: 'shared keys',
          socketFolder: dirname(run.workloadSocket),
          runPath: run.path,
          sensors: swarm.agents
            .filter(({ config }) => 'source' in Object(config))
            .map(({ member }) => member),
          members,
          replace: running.replaceAgent,
          rollback: running.rollbackAgent,
          flows: (agent, since, limit) => {
            const from = process.hrtime.bigint();
            return first(() => {
              const reading = [...heard.values()].findLast(
                ({ message }) => message.from === agent.token && message.kind === 'root',
              );
              return reading !== undefined && reading.at > from && from > since ? true : undefined;
            }, limit);
          },
        },
        scenario,
        signal,
      ),
    close: async () => {
      await nats.close();
      await end();
    },
  };
}

const LOOK_MS = 20;
