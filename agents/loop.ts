import { setTimeout as pause } from 'node:timers/promises';
import { createPlaces } from '#bus/client/places.ts';
import { CHANNELS, type InvokeHop } from '#bus/telemetry.ts';
import type { Verified } from '#bus/verified.ts';
import type { RecordId } from '#custody/record.ts';
import { refuse } from '#identity/outcome.ts';
import { guarded, messageOf, why, within } from './asking.ts';
import type { AgentBus, CallTool } from './bus.ts';
import type { AgentCode } from './codes.ts';
import type { AgentEvent, Intent, Role } from './roles/role.ts';
import type { Source } from './sources/source.ts';
import { inert } from './text.ts';

export interface LoopOptions<State> {
  readonly role: Role<State>;
  readonly bus: AgentBus;
  /** Message kinds that the agent consumes. */
  readonly consumes: readonly string[];
  /** Receivers of what it publishes, by kind. */
  readonly audience: Readonly<Record<string, readonly string[]>>;
  readonly source?: Source;
  readonly callTool?: CallTool;
  /** Service and tool calls under way at the same time. */
  readonly concurrency: number;
  readonly onNote: (code: AgentCode, detail: string) => void;
}

export interface LoopStatus {
  /** `done`: the source has ended and every message is acknowledged. */
  readonly phase: 'running' | 'draining' | 'done' | 'stopped';
  readonly received: number;
  readonly published: number;
  /** Messages given up because the loop was stopped before the bus took them. */
  readonly failed: number;
  /** Known when the loop is done; before that, see the bus's own figures. */
  readonly acknowledged: number | undefined;
  readonly calls: number;
  readonly timeouts: number;
  readonly notes: Readonly<Partial<Record<AgentCode, number>>>;
  readonly role: Readonly<Record<string, number>>;
}

export interface Loop {
  status(): LoopStatus;
  /** Resolves when the source has ended and all was acknowledged; never for agents without one. */
  readonly done: Promise<void>;
  /** Takes nothing more, finishes what is under way, waits for acknowledgements at most `drainMs`. */
  stop(drainMs?: number): Promise<void>;
}

const DRAIN_MS = 3000;
/** Notes of a code told one by one; after that every hundredth, with their number. */
const MAX_TOLD = 100;
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5000;
/** Readings that wait for the bus, of a source without a pace: what is sent together is signed once. */
const AHEAD = 64;

/** `started` resolves when its calls have a place, `done` when all is finished. */
interface Running {
  readonly started: Promise<void>;
  readonly done: Promise<void>;
}

/** Runs a role: events in order through its pure step, intents against the bus. */
export function startLoop<State>(options: LoopOptions<State>): Loop {
  const { role, bus, onNote } = options;
  const stopping = new AbortController();
  const places = createPlaces(options.concurrency);
  const notes: Partial<Record<AgentCode, number>> = {};
  const work = new Set<Promise<void>>();
  let state = role.initial;
  let phase: LoopStatus['phase'] = 'running';
  let received = 0;
  let published = 0;
  let failed = 0;
  let acknowledged: number | undefined;
  let calls = 0;
  let timeouts = 0;

  function say(code: AgentCode, detail: string): void {
    const count = (notes[code] ?? 0) + 1;
    notes[code] = count;
    // A file of malformed rows must not bury what else is said; orders are always told.
    if (count <= MAX_TOLD || code.startsWith('ACT_')) onNote(code, detail);
    else if (count % MAX_TOLD === 0) onNote(code, `${detail} (${count} so far)`);
  }

  function dispatch(event: AgentEvent): Running {
    const step = role.step(state, event);
    state = step.state;
    if (event.kind === 'message') return invocation(event.message.recordId, step.intents);
    return together(step.intents.map(execute));
  }

  /** What a message makes the agent do, to its very end, is one piece of work for who watches. */
  function invocation(recordId: RecordId, intents: readonly Intent[]): Running {
    const causes = intents.flatMap((intent) => (intent.kind === 'note' ? [] : intent.causes));
    // Most messages lead to nothing.
    if (causes.length === 0) return together(intents.map(execute));
    const hop: InvokeHop = { recordId, causes };
    const started = Promise.withResolvers<void>();
    const done = CHANNELS.invoke.tracePromise(async () => {
      const running = together(intents.map(execute));
      started.resolve(running.started);
      await running.done;
    }, hop);
    return { started: started.promise, done };
  }

  function execute(intent: Intent): Running {
    switch (intent.kind) {
      case 'note': {
        say(intent.code, intent.detail);
        return { started: Promise.resolve(), done: Promise.resolve() };
      }
      case 'publish': {
        const done = track(publish(intent));
        return { started: done, done };
      }
      case 'call':
      case 'tool': {
        const started = places.enter();
        return { started, done: track(started.then(() => call(intent))) };
      }
      default:
        return intent satisfies never;
    }
  }

  function track(promise: Promise<void>): Promise<void> {
    work.add(promise);
    void promise.finally(() => work.delete(promise));
    return promise;
  }

  async function publish(intent: Extract<Intent, { kind: 'publish' }>): Promise<void> {
    const { message: kind, recordKind, causes, payload } = intent;
    const audience = options.audience[kind] ?? [];
    // The bus rejects while the process has no identity, for example; nothing is lost meanwhile.
    for (let wait = FIRST_RETRY_MS; ; wait = Math.min(2 * wait, LAST_RETRY_MS)) {
      try {
        await bus.send({ kind, audience, causes, payload, recordKind });
        published += 1;
        return;
      } catch (error) {
        say('PUBLISH_FAILED', inert(`${kind}: ${messageOf(error)}`, 300));
      }
      if (stopping.signal.aborted) break;
      await pause(wait, undefined, { signal: stopping.signal }).catch(() => undefined);
    }
    failed += 1;
  }

  /** The place is free again before what follows is stepped: that may need one itself. */
  async function call(intent: Extract<Intent, { kind: 'call' | 'tool' }>): Promise<void> {
    calls += 1;
    const event = await within(intent.timeoutMs, intent.ref, () => ask(intent));
    places.leave();
    if (event.kind === 'failure' && event.code === 'CALL_TIMEOUT') timeouts += 1;
    await dispatch(event).done;
  }

  async function ask(intent: Extract<Intent, { kind: 'call' | 'tool' }>): Promise<AgentEvent> {
    const { ref, causes } = intent;
    if (intent.kind === 'tool') {
      const { callTool } = options;
      const acted = await guarded(async () =>
        callTool === undefined
          ? refuse('NO_TOOLS', 'this agent calls no tools')
          : callTool(intent.tool, intent.arguments, causes),
      );
      return acted.ok
        ? { kind: 'acted', ref, answer: acted.value }
        : { kind: 'failure', ref, ...why(acted) };
    }
    const { service, request, timeoutMs } = intent;
    const answered = await guarded(() =>
      bus.request({ service, request, causes, timeoutMs, recordKind: 'tool.call' }),
    );
    return answered.ok
      ? { kind: 'result', ref, response: answered.payload, recordId: answered.recordId }
      : { kind: 'failure', ref, ...why(answered) };
  }

  async function pump(source: Source): Promise<void> {
    let first = true;
    const ahead: Promise<void>[] = [];
    try {
      for await (const item of source.items) {
        if (!first && source.intervalMs > 0) {
          await pause(source.intervalMs, undefined, { signal: stopping.signal }).catch(() => {});
        }
        first = false;
        if (stopping.signal.aborted) break;
        ahead.push(dispatch({ kind: 'input', source: source.name, item }).done);
        // The bus takes a reading when it has room: until then no more than these are read.
        if (ahead.length >= (source.intervalMs > 0 ? 1 : AHEAD)) await ahead.shift();
      }
    } catch (error) {
      const detail = messageOf(error);
      await dispatch({ kind: 'input', source: source.name, item: { kind: 'broken', detail } }).done;
    } finally {
      await Promise.all(ahead);
      await source.close().catch(() => undefined);
    }
  }

  async function onMessage(message: Verified<Uint8Array>, kind: string): Promise<void> {
    received += 1;
    const { recordId, payload, sender } = message;
    const event = { recordId, sender: sender.token, kind, payload };
    // Acknowledged when its calls have begun, not ended: a slow service does not hold up the stream,
    // and an order is not delivered again to be given twice. `concurrency` bounds what is open.
    await dispatch({ kind: 'message', message: event }).started;
  }

  const consumers = options.consumes.map((kind) =>
    bus.consume({ kind, handler: (message) => onMessage(message, kind) }),
  );

  const { source } = options;
  const pumped = source === undefined ? undefined : pump(source);
  const done = (pumped ?? new Promise<never>(() => {})).then(async () => {
    if (stopping.signal.aborted) return;
    phase = 'draining';
    await bus.flush();
    acknowledged = published;
    if (!stopping.signal.aborted) phase = 'done';
  });
  // A flush that fails because the bus was closed is the end of `stop`, not an unhandled fault.
  done.catch(() => undefined);

  return {
    status: () => ({
      phase,
      received,
      published,
      failed,
      acknowledged,
      calls,
      timeouts,
      notes: { ...notes },
      role: role.status(state),
    }),
    done,
    async stop(drainMs = DRAIN_MS) {
      if (phase === 'running') phase = 'draining';
      stopping.abort();
      source?.end?.();
      const finish = async () => {
        await Promise.all(consumers.map((consumer) => consumer.close()));
        await pumped;
        while (work.size > 0) await settled([...work]);
        await bus.flush();
        acknowledged = published;
      };
      const late = new AbortController();
      await Promise.race([
        finish().catch(() => undefined),
        pause(drainMs, undefined, { signal: late.signal }).catch(() => undefined),
      ]);
      late.abort();
      phase = 'stopped';
    },
  };
}

function together(running: readonly Running[]): Running {
  return {
    started: settled(running.map((each) => each.started)),
    done: settled(running.map((each) => each.done)),
  };
}

async function settled(promises: readonly Promise<void>[]): Promise<void> {
  await Promise.allSettled(promises);
}
