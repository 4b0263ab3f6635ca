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
import {
  APPEND_STREAM,
  durableName,
  LEDGER_STREAM,
  LEDGER_SUBJECT,
  streamName,
} from './subjects.ts';

/** Who consumes which kinds. */
export interface Receiver {
  readonly member: Member;
  readonly kinds: readonly string[];
}

const NANOS = 1_000_000;
const MESSAGE_AGE_MS = 10 * 60_000;
/** Longer than a publisher retries one message, so that a retry is never stored twice. */
const DUPLICATE_WINDOW_MS = 2 * 60_000;
const ACK_WAIT_MS = 10_000;
const MAX_ACK_PENDING = 512;
const STREAM_BYTES = 256 * 1024 * 1024;

function kindStream(kind: string): Partial<StreamConfig> & { readonly name: string } {
  return {
    name: streamName(kind),
    subjects: [`*.${kind}.*`],
    retention: RetentionPolicy.Limits,
    storage: StorageType.File,
    max_age: MESSAGE_AGE_MS * NANOS,
    max_bytes: STREAM_BYTES,
    // A full stream refuses the publisher, who waits: nothing unread is dropped for it.
    discard: DiscardPolicy.New,
    duplicate_window: DUPLICATE_WINDOW_MS * NANOS,
    allow_direct: false,
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
};

/** No age and no size limit: an entry leaves the ledger by no rule of the broker's. */
const LEDGER: Partial<StreamConfig> & { readonly name: string } = {
  name: LEDGER_STREAM,
  subjects: [LEDGER_SUBJECT],
  retention: RetentionPolicy.Limits,
  storage: StorageType.File,
  discard: DiscardPolicy.New,
  deny_delete: true,
  deny_purge: true,
  duplicate_window: DUPLICATE_WINDOW_MS * NANOS,
  allow_direct: false,
};

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

async function ensureConsumer(
  manager: JetStreamManager,
  stream: string,
  config: Partial<ConsumerConfig> & { readonly durable_name: string },
): Promise<void> {
  // `add` with the same configuration answers with the consumer that is there.
  await manager.consumers.add(stream, {
    ack_policy: AckPolicy.Explicit,
    deliver_policy: DeliverPolicy.All,
    ack_wait: ACK_WAIT_MS * NANOS,
    max_ack_pending: MAX_ACK_PENDING,
    // A message is never given up: the door or the handler has the last word on it.
    max_deliver: -1,
    ...config,
  });
}

/**
 * Makes the swarm's streams and durable consumers with the supervisor's connection; a second run
 * finds them. Agents may do none of this: their JetStream rights are one pull and one ack subject.
 * @throws Error when the broker refuses, for instance an existing stream with other subjects.
 */
export async function ensureStreams(
  connection: ConnectOptions & { readonly nkeySeed: string },
  swarm: {
    readonly kinds: readonly string[];
    readonly receivers: readonly Receiver[];
    readonly ledger: Member;
  },
): Promise<void> {
  const nats = await connectNats(connection);
  try {
    const manager = await jetstreamManager(nats, { checkAPI: false });
    for (const kind of swarm.kinds) await ensureStream(manager, kindStream(kind));
    await ensureStream(manager, APPEND);
    await ensureStream(manager, LEDGER);
    for (const { member, kinds } of swarm.receivers) {
      for (const kind of kinds) {
        await ensureConsumer(manager, streamName(kind), {
          durable_name: durableName(member),
          filter_subject: `${member.district ?? '*'}.${kind}.*`,
        });
      }
    }
    await ensureConsumer(manager, APPEND_STREAM, {
      durable_name: durableName(swarm.ledger),
      max_ack_pending: 4096,
    });
  } finally {
    await nats.close();
  }
}
