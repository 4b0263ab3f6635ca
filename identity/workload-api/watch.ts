import { setTimeout as sleep } from 'node:timers/promises';
import type { WorkloadCode } from '../codes.ts';
import type { Outcome, Refused } from '../outcome.ts';
import { failureOf } from './rpc.ts';

/** What may happen to a live view beside being updated. Never holds key material. */
export type TroubleState =
  /** PermissionDenied: this process has no identity, or lost it; nothing old is used any more. */
  | { readonly kind: 'denied'; readonly detail: string }
  /** No answer; what was pushed before stays in use until it expires. */
  | { readonly kind: 'unavailable'; readonly detail: string }
  /** A message, or a part of it that can be spared, was thrown away. */
  | { readonly kind: 'discarded'; readonly code: WorkloadCode; readonly detail: string }
  /** An answer that no retry changes (InvalidArgument, Unimplemented): the source has given up. */
  | { readonly kind: 'failed'; readonly detail: string };

export interface WatchOptions {
  /** Ends the wait for the first message, and the source. */
  readonly signal?: AbortSignal;
  /** Uniform in [0, 1), for jitter. */
  readonly random?: () => number;
  /** Milliseconds on a clock that only moves forward. */
  readonly clock?: () => number;
  /** First and longest wait between attempts, in milliseconds. */
  readonly backoff?: { readonly firstMs: number; readonly maxMs: number };
}

/** A whole state out of one message; `skipped` are parts of it that could not be used. */
export interface Update {
  readonly skipped: readonly Refused<WorkloadCode>[];
}

/** What a watch follows: how the stream is opened, read, and spoken of. */
export interface Subject<M, T extends Update, S> {
  readonly what: string;
  open(signal: AbortSignal): AsyncIterable<M>;
  /** What a message means, or why the whole of it is to be discarded (Workload API 4.5). */
  read(message: M): Outcome<T, WorkloadCode>;
  ready(value: T): S;
  readonly onState: ((state: S | TroubleState) => void) | undefined;
}

const DEFAULT_BACKOFF = { firstMs: 100, maxMs: 5_000 } as const;
/** A stream that ends sooner is no ground for another immediate attempt. */
const SHORT_STREAM_MS = 1_000;

type StreamEnd =
  /** It had been working: open it again at once. */
  | { readonly kind: 'closed' }
  | { readonly kind: 'retry' }
  | { readonly kind: 'fatal'; readonly detail: string };

/**
 * Owns a stream of the Workload API, its reconnection (Workload API 4.2, Workload Endpoint App. A),
 * and the state that it pushed, which is replaced as a whole and never added to (4.4).
 */
export class Watch<M, T extends Update, S> {
  readonly #subject: Subject<M, T, S>;
  readonly #options: WatchOptions;
  readonly #closing = new AbortController();
  readonly #first = Promise.withResolvers<void>();
  readonly #listeners = new Set<() => void>();
  #current: T | undefined;
  #missing: string;

  constructor(subject: Subject<M, T, S>, options: WatchOptions) {
    this.#subject = subject;
    this.#options = options;
    this.#missing = `no ${subject.what} yet`;
    const abort = () => this.close();
    if (options.signal?.aborted === true) abort();
    options.signal?.addEventListener('abort', abort, { once: true });
    this.onClosed(() => options.signal?.removeEventListener('abort', abort));
    void this.#run();
  }

  /** Resolves with the first state. @throws Error when closed before it, or when no retry can help. */
  first(): Promise<void> {
    return this.#first.promise;
  }

  onClosed(listener: () => void): void {
    this.#closing.signal.addEventListener('abort', listener, { once: true });
  }

  current(): T | undefined {
    return this.#current;
  }

  /** Why there is no current state. */
  missing(): string {
    return this.#missing;
  }

  /** Aborted when the watch is closed. */
  get closing(): AbortSignal {
    return this.#closing.signal;
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
    this.#first.reject(
      new Error(`Workload API: closed before the first ${this.#subject.what} came`),
    );
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
      for await (const message of this.#subject.open(closing)) {
        received = true;
        this.#receive(message);
      }
      if (received) return { kind: 'closed' };
      this.#report({ kind: 'unavailable', detail: 'the stream ended without a message' });
      return { kind: 'retry' };
    } catch (error) {
      if (closing.aborted) return { kind: 'closed' };
      const { kind, detail } = failureOf(error);
      if (kind === 'refused') return { kind: 'fatal', detail };
      if (kind === 'denied') {
        // 5.2.1: all identities are taken away, on a live stream too.
        this.#unload(`denied: ${detail}`);
        this.#report({ kind: 'denied', detail });
        return { kind: 'retry' };
      }
      this.#report({ kind: 'unavailable', detail });
      return { kind: received ? 'closed' : 'retry' };
    }
  }

  #receive(message: M): void {
    const update = this.#subject.read(message);
    if (!update.ok) {
      this.#report({ kind: 'discarded', code: update.code, detail: update.detail });
      return;
    }
    for (const { code, detail } of update.value.skipped) {
      this.#report({ kind: 'discarded', code, detail });
    }
    this.#current = update.value;
    const { onState, ready } = this.#subject;
    surface(() => onState?.(ready(update.value)));
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

  #report(state: TroubleState): void {
    surface(() => this.#subject.onState?.(state));
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
