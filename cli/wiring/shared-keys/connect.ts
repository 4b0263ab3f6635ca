import { connect, type NatsConnection } from '@nats-io/transport-node';
import { SHARED_USER } from './codec.ts';

const CONNECT_TIMEOUT_MS = 10_000;
const RECONNECT_MS = 250;

/** A connection with the key that all share: no TLS, no name that anybody checks. */
export function connectWithKey(url: string, key: string): Promise<NatsConnection> {
  return connect({
    servers: url,
    user: SHARED_USER,
    pass: key,
    timeout: CONNECT_TIMEOUT_MS,
    maxReconnectAttempts: -1,
    reconnectTimeWait: RECONNECT_MS,
    ignoreClusterUpdates: true,
    noAsyncTraces: true,
  });
}
