import { join } from 'node:path';
import type { Propagate } from '#bus/client/envelope.ts';
import {
  type Collector,
  type CollectorCounts,
  createCollector,
  type Sink,
  type SpanSource,
} from '#observability/collector.ts';
import { startTelemetry } from '#observability/process.ts';
import { createFileSink } from '#observability/sinks/file.ts';
import { createOtlpSink } from '#observability/sinks/otlp-http.ts';
import type { Supervisor } from '#runtime/supervisor/supervisor.ts';
import { platformMember, type Swarm } from '#runtime/swarm-file/resolve.ts';

/** Where spans go beside the run's own file. */
export interface OtlpTarget {
  /** Of the request itself, path included. */
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Default 1000. */
  readonly timeoutMs?: number;
}

/** A running swarm's traces: a view of what happened, never the proof of it; that is the ledger. */
export interface Traces extends Pick<Collector, 'find' | 'wait'> {
  /** OTLP, one export request a line. */
  readonly file: string;
  counts(): CollectorCounts;
  /** One line about what cannot be written or sent; what was said before is told at once. */
  onTrouble(listener: (line: string) => void): void;
}

export interface OpenTraces {
  readonly view: Traces;
  /** For the supervisor's own bus client. */
  readonly propagate: Propagate;
  /** From now on each process that starts is heard. */
  follow(supervisor: Pick<Supervisor, 'onEvent' | 'process'>): void;
  /** Writes what is there; takes about a second where a collector does not answer, at most. */
  close(): Promise<void>;
}

const MAX_TROUBLES = 8;

export function openTraces(options: {
  readonly runPath: string;
  readonly swarm: Pick<Swarm, 'name' | 'members' | 'trustDomain'>;
  readonly otlp?: OtlpTarget | undefined;
}): OpenTraces {
  const { swarm, otlp } = options;
  const listeners: ((line: string) => void)[] = [];
  const troubles: string[] = [];
  const say = (line: string): void => {
    if (troubles.length < MAX_TROUBLES) troubles.push(line);
    for (const listener of listeners) listener(line);
  };
  const file = join(options.runPath, 'traces.jsonl');
  const sinks: Sink[] = [createFileSink({ path: file, onTrouble: say })];
  if (otlp !== undefined) sinks.push(createOtlpSink({ ...otlp, fetch, onTrouble: say }));
  const collector = createCollector({
    namespace: swarm.name,
    sinks,
    clock: () => performance.now(),
  });
  const { token, id } = platformMember(swarm.trustDomain, 'supervisor');
  const self: SpanSource = {
    process: token,
    pid: process.pid,
    role: 'supervisor',
    spiffeId: id,
  };
  const own = startTelemetry({
    id: token,
    role: 'supervisor',
    send: (message, written) => {
      collector.accept(self, message);
      setImmediate(written);
      return true;
    },
  });

  function sourceOf(name: string, pid: number): SpanSource {
    const member = swarm.members.find(
      (one) => one.token === name || (one.kind === 'platform' && one.name === name),
    );
    return { process: name, pid, role: member?.role ?? name, spiffeId: member?.id };
  }

  return {
    view: {
      file,
      counts: () => collector.counts(),
      find: (recordId) => collector.find(recordId),
      wait: (recordId, waiting) => collector.wait(recordId, waiting),
      onTrouble(listener) {
        listeners.push(listener);
        for (const line of troubles) listener(line);
      },
    },
    propagate: own.propagate,
    follow(supervisor) {
      supervisor.onEvent((event) => {
        if (event.type !== 'started') return;
        const source = sourceOf(event.name, event.pid);
        supervisor.process(event.name)?.onMessage((message) => {
          if (message.type === 'spans') collector.accept(source, message);
        });
      });
    },
    async close() {
      await own.flush(100);
      own.close();
      await collector.close();
    },
  };
}
