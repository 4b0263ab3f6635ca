import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node';
import type { WorkloadCode } from '../codes.ts';
import type { SpiffeId } from '../spiffe-id.ts';
import type { BundleSet, X509Source, X509Svid } from '../svid.ts';
import { parseEndpoint } from './endpoint.ts';
import { SpiffeWorkloadAPI, type X509SVIDResponse } from './generated/workload_pb.ts';
import { readX509Update, type X509Update } from './x509-update.ts';

/** What a process may tell about its identity. Never holds key material. */
export type X509SourceState =
  /** A whole new set is in use. */
  | {
      readonly kind: 'ready';
      readonly id: SpiffeId;
      readonly serial: string;
      readonly notAfter: Date;
    }
  /** PermissionDenied: this process has no identity, or lost it; nothing old is used any more. */
  | { readonly kind: 'denied'; readonly detail: string }
  /** No answer; what was pushed before stays in use until it expires. */
  | { readonly kind: 'unavailable'; readonly detail: string }
  /** A message, or a foreign bundle in it, was thrown away; what was in use stays in use. */
  | { readonly kind: 'discarded'; readonly code: WorkloadCode; readonly detail: string }
  /** An answer that no retry changes (InvalidArgument, Unimplemented): the source has given up. */
  | { readonly kind: 'failed'; readonly detail: string };

export interface X509SourceOptions {
  /** Absolute path of the socket, or a URI as in `SPIFFE_ENDPOINT_SOCKET`. */
  readonly socketPath: string;
  /** When given, an SVID of another trust domain is discarded. */
  readonly trustDomain?: string;
  /** Ends the wait for the first SVID, and the source. */
  readonly signal?: AbortSignal;
  readonly onState?: (state: X509SourceState) => void;
  /** Uniform in [0, 1), for jitter. */
  readonly random?: () => number;
  /** Milliseconds on a clock that only moves forward. */
  readonly clock?: () => number;
  /** First and longest wait between attempts, in milliseconds. */
  readonly backoff?: { readonly firstMs: number; readonly maxMs: number };
}

const SECURITY_HEADER = { 'workload.spiffe.io': 'true' } as const;
const DEFAULT_BACKOFF = { firstMs: 100, maxMs: 5_000 } as const;
/** gRPC's customary limit on a message. */
const MAX_MESSAGE_BYTES = 4 * 1024 * 1024;
/** A stream that ends sooner is no ground for another immediate attempt. */
const SHORT_STREAM_MS = 1_000;

/**
 * Opens a live view of the caller's X.509-SVIDs and bundles, and resolves with the first set.
 * While it is denied or unavailable it waits and keeps trying (Workload API 4.2, Workload
 * Endpoint 6); `onState` says which.
 * @throws Error when aborted before the first set, or when no retry can help.
 */
export async function openX509Source(options: X509SourceOptions): Promise<X509Source> {
  const endpoint = parseEndpoint(options.socketPath);
  if (!endpoint.ok) throw new Error(`${endpoint.code}: ${endpoint.detail}`);
  const target = endpoint.value;
  const sessions = new Http2SessionManager('http://localhost', undefined, {
    createConnection: () =>
      target.kind === 'unix' ? connect(target.path) : connect(target.port, target.host),
  });
  const transport = createGrpcTransport({
    baseUrl: 'http://localhost',
    sessionManager: sessions,
    readMaxBytes: MAX_MESSAGE_BYTES,
    acceptCompression: [],
  });
  const client = createClient(SpiffeWorkloadAPI, transport);
  const watch = new X509Watch(options, (signal) =>
    client.fetchX509SVID({}, { headers: SECURITY_HEADER, signal }),
  );
  watch.onClosed(() => sessions.abort());
  try {
    await watch.first();
  } catch (error) {
    watch.close();
    throw error;
  }
  return watch;
}

type OpenStream = (signal: AbortSignal) => AsyncIterable<X509SVIDResponse>;

/** Owns the stream, its reconnection, and the material in use, which is replaced as a whole. */
class X509Watch implements X509Source {
  readonly #options: X509SourceOptions;
  readonly #open: OpenStream;
  readonly #closing = new AbortController();
  readonly #first = Promise.withResolvers<void>();
  readonly #listeners = new Set<() => void>();
  #current: X509Update | undefined;
  #missing = 'no SVID yet';

  constructor(options: X509SourceOptions, open: OpenStream) {
    this.#options = options;
    this.#open = open;
    const abort = () => this.close();
    if (options.signal?.aborted === true) abort();
    options.signal?.addEventListener('abort', abort, { once: true });
    this.onClosed(() => options.signal?.removeEventListener('abort', abort));
    void this.#run();
  }

  first(): Promise<void> {
    return this.#first.promise;
  }

  onClosed(listener: () => void): void {
    this.#closing.signal.addEventListener('abort', listener, { once: true });
  }

  svid(hint?: string): X509Svid {
    const current = this.#current;
    if (current === undefined) throw new Error(`no X.509-SVID: ${this.#missing}`);
    return current.svids.find((svid) => svid.hint === hint) ?? current.svids[0];
  }

  bundles(): BundleSet {
    return this.#current?.bundles ?? new Map();
  }

  onUpdate(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  close(): void {
    if (this.#closing.signal.aborted) return;
    this.#listeners.clear();
    this.#unload('the source was closed');
    this.#closing.abort();
    this.#first.reject(new Error('Workload API: closed before an SVID came'));
  }

  async #run(): Promise<void> {
    const closing = this.#closing.signal;
    const clock = this.#options.clock ?? performance.now.bind(performance);
    let failures = 0;
    let shortStreams = 0;
    while (!closing.aborted) {
      const openedAt = clock();
      const end = await this.#follow(closing);
      if (closing.aborted) return;
      if (end.kind === 'fatal') return this.#giveUp(end.detail);
      shortStreams = clock() - openedAt < SHORT_STREAM_MS ? shortStreams + 1 : 0;
      if (end.kind === 'closed') failures = 0;
      // 4.2: a closed stream is opened again at once, but a server that keeps closing is not hammered.
      if (end.kind === 'closed' && shortStreams <= 1) continue;
      await sleep(this.#pause(failures), undefined, { signal: closing }).catch(() => undefined);
      failures += 1;
    }
  }

  /** Reads one stream to its end. */
  async #follow(closing: AbortSignal): Promise<StreamEnd> {
    let received = false;
    try {
      for await (const message of this.#open(closing)) {
        received = true;
        this.#receive(message);
      }
      if (received) return { kind: 'closed' };
      this.#report({ kind: 'unavailable', detail: 'the stream ended without a message' });
      return { kind: 'retry' };
    } catch (error) {
      const { code, rawMessage, metadata } = ConnectError.from(error);
      if (closing.aborted) return { kind: 'closed' };
      // The library gives the same codes to its own troubles, such as a message that was cut short:
      // only a status that the server sent is its answer.
      const answered = metadata.has('grpc-status');
      if (answered && (code === Code.InvalidArgument || code === Code.Unimplemented)) {
        return { kind: 'fatal', detail: `${Code[code]}: ${rawMessage}` };
      }
      if (answered && code === Code.PermissionDenied) {
        // 5.2.1: all identities are taken away, on a live stream too.
        this.#unload(`denied: ${rawMessage}`);
        this.#report({ kind: 'denied', detail: rawMessage });
        return { kind: 'retry' };
      }
      this.#report({ kind: 'unavailable', detail: rawMessage });
      return { kind: received ? 'closed' : 'retry' };
    }
  }

  #receive(message: X509SVIDResponse): void {
    const update = readX509Update(message, this.#options.trustDomain);
    if (!update.ok) {
      this.#report({ kind: 'discarded', code: update.code, detail: update.detail });
      return;
    }
    for (const { code, detail } of update.value.skipped) {
      this.#report({ kind: 'discarded', code, detail });
    }
    this.#current = update.value;
    const [{ id, serial, notAfter }] = update.value.svids;
    this.#report({ kind: 'ready', id, serial, notAfter });
    this.#first.resolve();
    this.#notify();
  }

  #unload(reason: string): void {
    const had = this.#current !== undefined;
    this.#current = undefined;
    this.#missing = reason;
    if (had) this.#notify();
  }

  #giveUp(detail: string): void {
    this.#report({ kind: 'failed', detail });
    this.#first.reject(new Error(`Workload API: ${detail}`));
  }

  /** Full jitter between half and all of an exponentially growing step. */
  #pause(failures: number): number {
    const { firstMs, maxMs } = this.#options.backoff ?? DEFAULT_BACKOFF;
    const step = Math.min(maxMs, firstMs * 2 ** Math.min(failures, 20));
    return step * (0.5 + (this.#options.random ?? Math.random)() / 2);
  }

  #report(state: X509SourceState): void {
    surface(() => this.#options.onState?.(state));
  }

  #notify(): void {
    for (const listener of this.#listeners) surface(listener);
  }
}

/** An exception of a listener is its owner's bug: it comes up as such, and costs no one the identity. */
function surface(listener: () => void): void {
  try {
    listener();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

type StreamEnd =
  /** It had been working: open it again at once. */
  | { readonly kind: 'closed' }
  | { readonly kind: 'retry' }
  | { readonly kind: 'fatal'; readonly detail: string };
