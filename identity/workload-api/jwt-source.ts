import type { JwtCode, WorkloadCode } from '../codes.ts';
import type { JwtBundleSet } from '../jwt/bundle.ts';
import { type VerifiedJwtSvid, validateJwtSvid } from '../jwt/validate.ts';
import { accept, type Outcome, refuse } from '../outcome.ts';
import { parseSpiffeId, type SpiffeId } from '../spiffe-id.ts';
import { type BundleSourceState, opened } from './client.ts';
import type { JWTBundlesResponse } from './generated/workload_pb.ts';
import { type JwtBundlesUpdate, type JwtSvid, readJwtBundles, readJwtSvids } from './jwt-update.ts';
import { connectWorkloadApi, failureOf } from './rpc.ts';
import { TokenCache } from './token-cache.ts';
import { Watch, type WatchOptions } from './watch.ts';

export interface JwtSourceOptions extends WatchOptions {
  /** Absolute path of the socket, or a URI as in `SPIFFE_ENDPOINT_SOCKET`. */
  readonly socketPath: string;
  readonly onState?: (state: BundleSourceState) => void;
  readonly now?: () => Date;
  /** How far other clocks may differ when tokens are validated, in seconds; none unless it is said. */
  readonly leeway?: number;
  /** Longest wait for one token or verdict, in milliseconds. */
  readonly timeoutMs?: number;
}

export interface TokenRequest {
  /** Who the token is for. One is recommended: with two, each can act as the holder at the other. */
  readonly audience: string | readonly [string, ...string[]];
  /** Which identity; the default one unless it is said. */
  readonly id?: SpiffeId;
  /** Which of several identities, by the operator's word for it. */
  readonly hint?: string;
}

/** What the server said of a token that it was asked about. */
export interface ServerVerdict {
  readonly id: SpiffeId;
  /** As the server passed them on: it may leave foreign claims out (Workload API 6.2.3). */
  readonly claims: Readonly<Record<string, unknown>>;
}

/** Tokens for the caller's identities, and a live view of JWT bundles. */
export interface JwtSource {
  /**
   * A token for an audience: out of the cache in the first half of its life, else a new one. While the
   * server does not answer, one that has not ended is still given.
   */
  token(request: TokenRequest): Promise<Outcome<JwtSvid, WorkloadCode>>;
  /** Validates here, against the bundle of the subject's trust domain. `audience` is one's own name. */
  validate(token: string, audience: string | readonly string[]): Outcome<VerifiedJwtSvid, JwtCode>;
  /** Has the server validate (Workload API 6.3: SHOULD be preferred where a round trip can be had). */
  validateAtServer(token: string, audience: string): Promise<Outcome<ServerVerdict, WorkloadCode>>;
  bundles(): JwtBundleSet;
  onUpdate(listener: () => void): () => void;
  close(): void;
}

const TIMEOUT_MS = 10_000;

/**
 * Opens the JWT profile of the Workload API, and resolves with the first bundles. While it is denied
 * or unavailable it waits and keeps trying; `onState` says which.
 * @throws Error when aborted before the first bundles, or when no retry can help.
 */
export async function openJwtSource(options: JwtSourceOptions): Promise<JwtSource> {
  const { now = () => new Date(), leeway = 0, timeoutMs = TIMEOUT_MS } = options;
  const api = connectWorkloadApi(options.socketPath);
  const cache = new TokenCache();
  const pending = new Map<string, Promise<Outcome<Svids, WorkloadCode>>>();
  const watch = new Watch<JWTBundlesResponse, JwtBundlesUpdate, BundleSourceState>(
    {
      what: 'JWT bundle',
      open: (signal) => api.jwtBundles(signal),
      read: readJwtBundles,
      ready: ({ bundles }) => ({ kind: 'ready', trustDomains: [...bundles.keys()] }),
      onState: options.onState,
    },
    options,
  );
  watch.onClosed(() => api.close());
  await opened(watch);
  const call = { signal: watch.closing, timeoutMs };
  watch.onClosed(() => cache.clear());
  // Identities taken away (6.2.1), or a signing key taken out of a bundle: a token that was kept may be
  // good for nothing any more.
  watch.onUpdate(() => cache.clear());

  async function fetchTokens(
    key: string,
    audience: readonly string[],
    id: string,
  ): Promise<Outcome<Svids, WorkloadCode>> {
    try {
      const svids = readJwtSvids(await api.jwtSvids(audience, id, call), audience, now());
      if (svids.ok && !watch.closing.aborted) cache.put(key, svids.value, now());
      return svids;
    } catch (error) {
      const { kind, detail } = failureOf(error);
      if (kind === 'denied') id === '' ? cache.clear() : cache.delete(key);
      return refuse(CODE_OF[kind], detail);
    }
  }

  /** One call at a time for one question. */
  function askedOnce(key: string, audience: readonly string[], id: string) {
    const running = pending.get(key);
    if (running !== undefined) return running;
    const asked = fetchTokens(key, audience, id).finally(() => pending.delete(key));
    pending.set(key, asked);
    return asked;
  }

  return {
    async token({ audience, id = '', hint }) {
      const names = [...new Set(typeof audience === 'string' ? [audience] : audience)].sort();
      if (watch.closing.aborted) return refuse('WORKLOAD_UNAVAILABLE', 'the source was closed');
      if (names.length === 0 || names.includes('')) {
        return refuse('WORKLOAD_REFUSED', 'a token is for an audience that has a name');
      }
      const key = JSON.stringify([id, ...names]);
      const held = cache.get(key, now());
      const got = held?.fresh ? accept(held.svids) : await askedOnce(key, names, id);
      if (got.ok) return pick(got.value, id, hint);
      const still = got.code === 'WORKLOAD_UNAVAILABLE' ? cache.get(key, now()) : undefined;
      return still === undefined ? got : pick(still.svids, id, hint);
    },
    validate: (token, audience) =>
      validateJwtSvid(token, {
        audience,
        bundles: watch.current()?.bundles ?? new Map(),
        now: now(),
        leeway,
      }),
    async validateAtServer(token, audience) {
      try {
        const { spiffeId, claims } = await api.validate(audience, token, call);
        const id = parseSpiffeId(spiffeId);
        // 4.5: a message whose mandatory fields are empty is discarded.
        if (!id.ok || claims === undefined) {
          return refuse('WORKLOAD_FIELD_EMPTY', 'the verdict names nobody, or has no claims');
        }
        return accept({ id: id.value, claims });
      } catch (error) {
        const { kind, detail } = failureOf(error);
        return refuse(CODE_OF[kind], detail);
      }
    },
    bundles: () => watch.current()?.bundles ?? new Map(),
    onUpdate: (listener) => watch.onUpdate(listener),
    close: () => watch.close(),
  };
}

type Svids = readonly [JwtSvid, ...JwtSvid[]];

const CODE_OF = {
  refused: 'WORKLOAD_REFUSED',
  denied: 'WORKLOAD_DENIED',
  unavailable: 'WORKLOAD_UNAVAILABLE',
} as const;

/** The one with the hint, else the first (Workload API 8); never one of another ID than asked for. */
function pick(svids: Svids, id: string, hint?: string): Outcome<JwtSvid, WorkloadCode> {
  const [first, ...others] = svids.filter((svid) => id === '' || svid.id === id);
  if (first === undefined) {
    return refuse('WORKLOAD_SVID_INVALID', 'the answer holds no token of the ID asked for');
  }
  const hinted = [first, ...others].find((svid) => svid.hint === hint);
  return accept(hinted ?? first);
}
