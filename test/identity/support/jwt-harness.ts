import { EventEmitter, once } from 'node:events';
import type { SpiffeId } from '#identity/spiffe-id.ts';
import type { BundleSourceState } from '#identity/workload-api/client.ts';
import {
  type JwtSource,
  type JwtSourceOptions,
  openJwtSource,
} from '#identity/workload-api/jwt-source.ts';
import { ID, OTHER_ID } from './client-harness.ts';
import { type JwtAuthority, jwtAuthority } from './jwt.ts';
import { OWN } from './pushed.ts';
import { type Stream, startWorkloadServer, type WorkloadServer } from './workload-server.ts';

export const KEY = `spiffe://${OWN}`;
export type Bundles = Record<string, Uint8Array>;
type JwtStream = Stream<{ bundles?: Bundles }>;

/** A server that the test plays, and JWT sources that are opened on it. Its time stands. */
export interface JwtHarness {
  readonly server: WorkloadServer;
  readonly own: JwtAuthority;
  now: Date;
  readonly events: EventEmitter;
  readonly states: BundleSourceState[];
  /** Each call of FetchJWTSVID that the first answer took: audiences and ID. */
  readonly asked: string[];
  /** An entry of an answer, for one audience. */
  entry(
    id: string,
    audience?: string,
    hint?: string,
  ): { spiffeId: string; svid: string; hint: string };
  open(options?: Partial<JwtSourceOptions>): Promise<JwtSource>;
  /** A source that has its first bundles, and the stream that they came on. */
  ready(
    bundles?: Bundles,
    options?: Partial<JwtSourceOptions>,
  ): Promise<{ source: JwtSource; stream: JwtStream }>;
  pushed(stream: JwtStream, bundles: Bundles): Promise<void>;
  close(): Promise<void>;
}

export async function startJwtHarness(): Promise<JwtHarness> {
  const server = await startWorkloadServer();
  const own = jwtAuthority(OWN);
  const sources: JwtSource[] = [];
  const at: JwtHarness = {
    server,
    own,
    now: new Date('2030-06-15T12:00:00Z'),
    events: new EventEmitter(),
    states: [],
    asked: [],
    entry: (id, audience = 'reports', hint = '') => ({
      spiffeId: id,
      svid: own.token(id, audience, { issuedAt: at.now }),
      hint,
    }),
    open(options = {}) {
      const opening = openJwtSource({
        socketPath: server.path,
        backoff: { firstMs: 5, maxMs: 20 },
        now: () => at.now,
        onState: (state) => {
          at.states.push(state);
          at.events.emit(state.kind, state);
        },
        ...options,
      });
      opening.then(
        (source) => sources.push(source),
        () => undefined,
      );
      return opening;
    },
    async ready(bundles = { [KEY]: own.jwks }, options = {}) {
      const opening = at.open(options);
      const stream: JwtStream = await server.nextJwtBundles();
      stream.send({ bundles });
      return { source: await opening, stream };
    },
    async pushed(stream, bundles) {
      stream.send({ bundles });
      await once(at.events, 'ready');
    },
    async close() {
      for (const source of sources) source.close();
      await server.close();
    },
  };
  server.answers.jwtSvid = ({ audience, spiffeId: id }) => {
    at.asked.push(`${audience.join()} ${id}`.trim());
    return { svids: [at.entry(ID, audience[0]), at.entry(OTHER_ID, audience[0], 'other')] };
  };
  return at;
}

/** The token, or the code. */
export async function tokenOf(
  source: JwtSource,
  request: { audience: string; id?: SpiffeId },
): Promise<string> {
  const outcome = await source.token(request);
  return outcome.ok ? outcome.value.token : outcome.code;
}
