import type { Peer } from '../attestors/peer.ts';
import { accept, type Outcome, refuse } from '../outcome.ts';
import type { Changes, Subscription } from './changes.ts';
import type { IssuerCode } from './codes.ts';
import type { Connection, ConnectionLimits } from './connections.ts';
import type { GrpcCall } from './grpc-server.ts';
import type { Push } from './workload-messages.ts';

/** A caller of one RPC, for as long as it wants to be answered. */
export interface Call extends GrpcCall {
  readonly connection: Connection;
}

export interface CallParts {
  readonly changes: Changes;
  readonly clock: () => Date;
  readonly limits: ConnectionLimits;
}

type Ask<T> = (peer: Peer) => Promise<Outcome<T, IssuerCode>>;

/** Streams look at their caller again after this, though nothing was announced. */
const RECHECK_MS = 60_000;

/** Milliseconds for which the launcher may still be about to speak of this caller. */
function grace({ connection }: Call, { limits }: CallParts): number {
  return connection.acceptedAt + limits.graceMs - performance.now();
}

/** One answer. A process that is ahead of the launcher's word about it is waited for. */
export async function answerOnce<T>(
  call: Call,
  parts: CallParts,
  ask: Ask<T>,
): Promise<Outcome<T, IssuerCode>> {
  const { peer } = call.connection;
  if (!peer.ok) return peer;
  const subscription = parts.changes.subscribe(peer.value.pid);
  call.onOver(subscription.end);
  try {
    return await settled(call, parts, peer.value, ask, subscription);
  } finally {
    subscription.end();
  }
}

async function settled<T>(
  call: Call,
  parts: CallParts,
  peer: Peer,
  ask: Ask<T>,
  subscription: Subscription,
): Promise<Outcome<T, IssuerCode>> {
  for (;;) {
    const answer = await ask(peer);
    if (answer.ok || answer.code !== 'NOT_LAUNCHED' || grace(call, parts) <= 0) return answer;
    await subscription.next(grace(call, parts));
    if (call.over) return refuse('PEER_GONE', 'the caller has hung up');
  }
}

/**
 * The states of a stream: the first at once, later ones when they differ from what was sent. The
 * caller is attested anew before each; a refusal is the last thing that comes.
 */
export async function* answerChanges<T>(
  call: Call,
  parts: CallParts,
  ask: Ask<Push<T>>,
): AsyncGenerator<Outcome<T, IssuerCode>, void> {
  const { connection } = call;
  const { limits, clock, changes } = parts;
  if (!connection.peer.ok) {
    yield connection.peer;
    return;
  }
  const peer = connection.peer.value;
  const subscription = changes.subscribe(peer.pid);
  call.onOver(subscription.end);
  try {
    let now = await settled(call, parts, peer, ask, subscription);
    let sent: string | undefined;
    let quietUntil = 0;
    while (!call.over) {
      if (!now.ok) {
        yield now;
        return;
      }
      subscription.found(now.value.have);
      if (now.value.key !== sent && performance.now() >= quietUntil) {
        sent = now.value.key;
        // At most one message is ever under way; what changes meanwhile is sent as one.
        yield accept(now.value.message);
        // a program that reloads at each message gets some time to do so.
        quietUntil = performance.now() + limits.pushGapMs;
      }
      const due = now.value.key === sent ? now.value.again - clock().getTime() : 0;
      const quiet = now.value.key === sent ? 0 : quietUntil - performance.now();
      await subscription.next(Math.min(Math.max(due, quiet), RECHECK_MS));
      now = await ask(peer);
    }
  } finally {
    subscription.end();
  }
}
