import {
  AckPolicy,
  type ConsumerConfig,
  DeliverPolicy,
  DiscardPolicy,
  JetStreamApiError,
  type JetStreamManager,
  jetstreamManager,
  RetentionPolicy,
  StorageType,
  type StreamConfig,
} from '@nats-io/jetstream';
import { type ConnectOptions, connectNats } from './client/nats.ts';
import type { Member } from './directory.ts';
import type { StoredStream } from './ledger-storage.ts';
import {
  APPEND_STREAM,
  deliverySubject,
  durableName,
  LEDGER_CHECKPOINTS,
  LEDGER_ENTRIES,
  streamName,
} from './subjects.ts';

/** Who consumes which kinds. */
export interface Receiver {
  readonly member: Member;
  readonly kinds: readonly string[];
}

const NANOS = 1_000_000;
/** A record lives 30 s, and a door refuses it afterwards: older messages serve nobody. */
const MESSAGE_AGE_MS = 45_000;
/** As long as a message: a publisher repeats it with the same id until it is acknowledged. */
const DUPLICATE_WINDOW_MS = 45_000;
const LEDGER_DUPLICATE_WINDOW_MS = 10 * 60_000;
const ACK_WAIT_MS = 10_000;
const MAX_ACK_PENDING = 4096;
/** A swarm's start asks once; a busy disk or processor must not fail it. */
const API_TIMEOUT_MS = 20_000;
const STREAM_BYTES = 256 * 1024 * 1024;

/**
 * The server answers a stored message on the reply subject its publisher chose, with the server's
 * rights: a sensor made it write to `ledger.entry` and under another's token. So it does not
 * answer; the receiver's signed `ack` and the ledger's signed receipt say more anyway.
 */
const NO_ANSWER = { no_ack: true } as const;

function kindStream(
  kind: string,
  districts: readonly string[],
): Partial<StreamConfig> & { readonly name: string } {
  return {
    name: streamName(kind),
    // One subject per district: `*.reading.*` would cover `$JS.reading.x`, which the server refuses.
    subjects: districts.map((district) => `${district}.${kind}.*`),
    retention: RetentionPolicy.Limits,
    storage: StorageType.File,
    max_age: MESSAGE_AGE_MS * NANOS,
    max_bytes: STREAM_BYTES,
    // A full stream refuses the publisher, who waits: nothing unread is dropped for it.
    discard: DiscardPolicy.New,
    duplicate_window: DUPLICATE_WINDOW_MS * NANOS,
    allow_direct: false,
    ...NO_ANSWER,
  };
}

const APPEND: Partial<StreamConfig> & { readonly name: string } = {
  name: APPEND_STREAM,
  subjects: ['custody.append.*'],
  retention: RetentionPolicy.Workqueue,
  storage: StorageType.File,
  max_bytes: STREAM_BYTES,
  discard: DiscardPolicy.New,
  duplicate_window: DUPLICATE_WINDOW_MS * NANOS,
  allow_direct: false,
  ...NO_ANSWER,
};

/** No age and no size limit: what the ledger keeps leaves it by no rule of the broker's. */
const kept = ({ name, subject }: StoredStream) => ({
  name,
  subjects: [subject],
  retention: RetentionPolicy.Limits,
  storage: StorageType.File,
  discard: DiscardPolicy.New,
  deny_delete: true,
  deny_purge: true,
  duplicate_window: LEDGER_DUPLICATE_WINDOW_MS * NANOS,
  // The ledger reads itself back by direct get: one right, and no consumer to make.
  allow_direct: true,
});

async function ensureStream(
  manager: JetStreamManager,
  config: Partial<StreamConfig> & { readonly name: string },
): Promise<void> {
  try {
    await manager.streams.info(config.name);
  } catch (error) {
    if (!(error instanceof JetStreamApiError) || error.status !== 404) throw error;
    await manager.streams.add(config);
    return;
  }
  const { name, ...changes } = config;
  await manager.streams.update(name, changes);
}

/**
 * Pushed, and not acknowledged to the server: a right to pull or to acknowledge is a right to have
 * the server publish anywhere. What a receiver loses in a crash, its sender sends again.
 */
function receiverConsumer(
  member: Member,
  kind: string,
): Partial<ConsumerConfig> & { readonly durable_name: string } {
  return {
    durable_name: durableName(member),
    deliver_subject: deliverySubject(member, kind),
    ack_policy: AckPolicy.None,
    deliver_policy: DeliverPolicy.All,
    ...(member.district === undefined ? {} : { filter_subject: `${member.district}.${kind}.*` }),
  };
}

/**
 * Makes the swarm's streams and durable consumers with the supervisor's connection; a second run
 * finds them. Agents hold no right under `$JS` at all.
 * @throws Error when the broker refuses, for instance an existing stream with other subjects.
 */
export async function ensureStreams(
  connection: ConnectOptions & { readonly nkeySeed: string },
  swarm: {
    readonly kinds: readonly string[];
    readonly districts: readonly string[];
    readonly receivers: readonly Receiver[];
    readonly ledger: Member;
  },
): Promise<void> {
  const nats = await connectNats(connection);
  try {
    const manager = await jetstreamManager(nats, { checkAPI: false, timeout: API_TIMEOUT_MS });
    for (const kind of swarm.kinds) await ensureStream(manager, kindStream(kind, swarm.districts));
    await ensureStream(manager, APPEND);
    await ensureStream(manager, kept(LEDGER_ENTRIES));
    await ensureStream(manager, kept(LEDGER_CHECKPOINTS));
    for (const { member, kinds } of swarm.receivers) {
      for (const kind of kinds) {
        // `add` with the same configuration answers with the consumer that is there.
        await manager.consumers.add(streamName(kind), receiverConsumer(member, kind));
      }
    }
    await manager.consumers.add(APPEND_STREAM, {
      durable_name: durableName(swarm.ledger),
      ack_policy: AckPolicy.Explicit,
      deliver_policy: DeliverPolicy.All,
      ack_wait: ACK_WAIT_MS * NANOS,
      max_ack_pending: MAX_ACK_PENDING,
      // The ledger has the last word on a record; the server never gives one up.
      max_deliver: -1,
    });
  } finally {
    await nats.close();
  }
}
