import { EventEmitter } from 'node:events';

import {
  openX509Source,
  type X509SourceOptions,
  type X509SourceState,
  type X509WorkloadSource,
} from '#identity/workload-api/client.ts';
import type { Issued } from './authority.ts';
import { leafToday, OWN, rootToday, svidOf } from './pushed.ts';
import { type Stream, startWorkloadServer, type WorkloadServer } from './workload-server.ts';

export const ID = `spiffe://${OWN}/agent/sensor/north/cam-1`;
export const OTHER_ID = `spiffe://${OWN}/agent/sensor/north/cam-2`;

/** A server that the test plays, and sources that are opened on it. */
export interface Harness {
  readonly server: WorkloadServer;
  readonly root: Issued;
  /** All that `onState` said; also emitted on `events` under its kind. */
  readonly states: readonly X509SourceState[];
  readonly events: EventEmitter;
  kinds(): readonly string[];
  open(options?: Partial<X509SourceOptions>): Promise<X509WorkloadSource>;
  message(id?: string): Promise<{ svids: ReturnType<typeof svidOf>[] }>;
  /** A source that has its first SVID, and the stream that it came on. */
  ready(
    options?: Partial<X509SourceOptions>,
  ): Promise<{ source: X509WorkloadSource; stream: Stream }>;
  close(): Promise<void>;
}

export async function startHarness(): Promise<Harness> {
  const server = await startWorkloadServer();
  const root = await rootToday();
  const sources: X509WorkloadSource[] = [];
  const states: X509SourceState[] = [];
  const events = new EventEmitter();

  function open(options: Partial<X509SourceOptions> = {}): Promise<X509WorkloadSource> {
    const opened = openX509Source({
      socketPath: server.path,
      backoff: { firstMs: 5, maxMs: 20 },
      onState: (state) => {
        states.push(state);
        events.emit(state.kind, state);
      },
      ...options,
    });
    opened.then(
      (source) => sources.push(source),
      () => undefined,
    );
    return opened;
  }
  async function message(id = ID) {
    return { svids: [svidOf(await leafToday(root, id), id, root)] };
  }
  return {
    server,
    root,
    states,
    events,
    kinds: () => states.map(({ kind }) => kind),
    open,
    message,
    async ready(options = {}) {
      const opening = open(options);
      const stream = await server.next();
      stream.send(await message());
      return { source: await opening, stream };
    },
    async close() {
      for (const source of sources) source.close();
      await server.close();
    },
  };
}
