import { createMerge } from './merge.ts';
import {
  type ConnectOptions,
  connectNats,
  type HeaderPairs,
  type Incoming,
  incoming,
  type NatsConnection,
  outgoing,
  type Subscription,
} from './nats.ts';

export interface LinkOptions extends ConnectOptions {
  /** How long the first connection may take, retries included; default 15 s. */
  readonly firstConnectMs?: number;
}

export interface Publication {
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly reply?: string;
  readonly headers?: HeaderPairs;
}

export interface LinkStatus {
  readonly rotations: number;
  readonly reconnects: number;
  /** Permission violations that the broker reported, newest last, at most 20. */
  readonly violations: readonly string[];
  /** Thumbprint of the SVID that the current connection was opened with. */
  readonly thumbprint: string;
}

export type Renewal = 'reconnect' | 'rotation';

/**
 * A connection to the broker that outlives its SVIDs. With `queue` a subscription shares the
 * subject with the other members; without, each message comes once and in the broker's order,
 * also while one connection replaces another.
 */
export interface BusLink {
  publish(message: Publication): void;
  /** Returns what ends it: what was delivered until then still comes (`flush` to wait for it). */
  subscribe(
    subject: string,
    queue: string | undefined,
    on: (message: Incoming) => void,
  ): () => void;
  flush(): Promise<void>;
  /** After a reconnect what was in flight may have been lost; after a rotation it has not. */
  onRenewed(listener: (why: Renewal) => void): void;
  /** False while the broker is away: what is published then may be lost. */
  connected(): boolean;
  status(): LinkStatus;
  /** Drains: what was received is handled, what was published is flushed. */
  close(): Promise<void>;
}

interface LinkSubscription {
  readonly subject: string;
  readonly queue: string | undefined;
  readonly on: (message: Incoming) => void;
  readonly live: Map<NatsConnection, Subscription>;
  readonly merge: ReturnType<typeof createMerge>;
}

const FLUSH_MS = 2000;

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/** Flushes, but no longer than a lost connection deserves. */
async function flushed(connection: NatsConnection): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, FLUSH_MS);
  });
  await Promise.race([connection.flush().catch(() => undefined), late]);
  clearTimeout(timer);
}

async function ended(connection: NatsConnection): Promise<void> {
  const drained = connection.drain().catch(() => undefined);
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, FLUSH_MS);
  });
  await Promise.race([drained, late]);
  clearTimeout(timer);
  if (!connection.isClosed()) await connection.close().catch(() => undefined);
}

/**
 * Opens a link. @throws Error when no connection stands within `firstConnectMs`; the message is
 * the last attempt's.
 */
export async function openLink(options: LinkOptions): Promise<BusLink> {
  const { source } = options;
  const closing = new AbortController();
  const subscriptions = new Set<LinkSubscription>();
  const renewed = new Set<(why: Renewal) => void>();
  const violations: string[] = [];
  const down = new WeakSet<NatsConnection>();
  let rotations = 0;
  let reconnects = 0;
  let thumbprint = source.svid().thumbprint;
  let next: NatsConnection | undefined;
  /** Publications made while the old connection is flushed: order survives the swap. */
  let held: Publication[] | undefined;
  let rotation: Promise<void> | undefined;

  function send(connection: NatsConnection, message: Publication): void {
    // A closed connection loses the message; who needs an answer asks again.
    if (connection.isClosed()) return;
    connection.publish(message.subject, message.payload, {
      ...(message.reply === undefined ? {} : { reply: message.reply }),
      ...(message.headers === undefined ? {} : { headers: outgoing(message.headers) }),
    });
  }

  function attach(subscription: LinkSubscription, connection: NatsConnection): void {
    const { subject, queue, live, merge, on } = subscription;
    const from = merge.add();
    const made = connection.subscribe(subject, {
      ...(queue === undefined ? {} : { queue }),
      callback: (error, message) => {
        if (error !== null) return;
        const arrived = incoming(message);
        if (queue === undefined) merge.push(from, arrived);
        else on(arrived);
      },
    });
    live.set(connection, made);
  }

  async function watch(connection: NatsConnection): Promise<void> {
    for await (const event of connection.status()) {
      if (event.type === 'disconnect') down.add(connection);
      if (event.type === 'reconnect') {
        reconnects += 1;
        down.delete(connection);
        for (const listener of renewed) listener('reconnect');
      }
      if (event.type === 'error') {
        violations.push(event.error.message);
        if (violations.length > 20) violations.shift();
      }
    }
  }

  async function dial(): Promise<NatsConnection> {
    const opened = source.svid().thumbprint;
    const connection = await connectNats(options);
    thumbprint = opened;
    void watch(connection);
    return connection;
  }

  async function firstConnection(): Promise<NatsConnection> {
    const until = options.clock() + (options.firstConnectMs ?? 15_000);
    for (;;) {
      try {
        return await dial();
      } catch (error) {
        if (options.clock() >= until) {
          const reason = error instanceof Error ? error.message : String(error);
          throw new Error(`cannot connect to the broker at ${options.url}: ${reason}`);
        }
        await pause(50 + options.random() * 200, closing.signal);
      }
    }
  }

  /** Make before break: the old connection serves until the new one has every subscription. */
  async function replace(): Promise<void> {
    const opened = await dial();
    const old = current;
    for (const subscription of subscriptions) attach(subscription, opened);
    next = opened;
    await flushed(opened);
    held = [];
    await flushed(old);
    current = opened;
    next = undefined;
    const waiting = held;
    held = undefined;
    for (const message of waiting) send(opened, message);
    const retired = [...subscriptions];
    for (const { live } of retired) {
      // Drained: to unsubscribe would drop what the broker has already put on the wire.
      void live
        .get(old)
        ?.drain()
        .catch(() => undefined);
      live.delete(old);
    }
    // After this the old connection has delivered all it was sent, and the new one its copies.
    await flushed(old);
    await flushed(opened);
    for (const { merge } of retired) merge.settle();
    rotations += 1;
    const why = down.has(old) ? 'reconnect' : 'rotation';
    await ended(old);
    for (const listener of renewed) listener(why);
  }

  async function rotateUntilCurrent(): Promise<void> {
    let failures = 0;
    while (!closing.signal.aborted) {
      try {
        if (source.svid().thumbprint === thumbprint) return;
        await replace();
        failures = 0;
      } catch {
        // Broker or gate away, or the identity was taken: the old connection serves to its end.
        failures += 1;
        await pause((100 + options.random() * 400) * Math.min(failures, 10), closing.signal);
      }
    }
  }

  let current: NatsConnection = await firstConnection();
  const stop = source.onUpdate(() => {
    rotation ??= rotateUntilCurrent().finally(() => {
      rotation = undefined;
    });
  });

  return {
    publish(message) {
      if (held === undefined) send(current, message);
      else held.push(message);
    },
    subscribe(subject, queue, on) {
      const subscription: LinkSubscription = {
        subject,
        queue,
        on,
        live: new Map(),
        merge: createMerge(on),
      };
      subscriptions.add(subscription);
      attach(subscription, current);
      if (next !== undefined) attach(subscription, next);
      return () => {
        subscriptions.delete(subscription);
        for (const made of subscription.live.values()) void made.drain().catch(() => undefined);
      };
    },
    flush: () => flushed(current),
    onRenewed: (listener) => renewed.add(listener),
    connected: () => !down.has(current) && !current.isClosed(),
    status: () => ({ rotations, reconnects, violations: [...violations], thumbprint }),
    async close() {
      closing.abort();
      stop();
      await rotation;
      await ended(current);
    },
  };
}
