import { DEFAULT_MAX_PAYLOAD, quoted } from '#bus/server-config.ts';
import { SHARED_USER } from './codec.ts';

/**
 * nats-server as many run it: on loopback, one user and password for all, who may do everything. No
 * TLS and no client certificates: what it carries lies open, and nobody is told apart.
 */
export function renderSharedKeyConfig(config: {
  readonly serverName: string;
  /** -1: the server picks a free port and writes it to a file in `portsFileDir`. */
  readonly port: number;
  readonly portsFileDir: string;
  readonly pidFile: string;
  readonly key: string;
}): string {
  return [
    `server_name: ${quoted('server name', config.serverName)}`,
    'host: "127.0.0.1"',
    `port: ${config.port}`,
    `ports_file_dir: ${quoted('ports folder', config.portsFileDir)}`,
    `pid_file: ${quoted('pid file', config.pidFile)}`,
    `max_payload: ${DEFAULT_MAX_PAYLOAD}`,
    'max_pending: 67108864',
    'write_deadline: "5s"',
    'ping_interval: "20s"',
    'authorization {',
    `  user: ${quoted('user', SHARED_USER)}`,
    `  password: ${quoted('password', config.key)}`,
    '  timeout: 2',
    '}',
    '',
  ].join('\n');
}
