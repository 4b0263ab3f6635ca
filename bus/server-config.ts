/**
 * What nats-server is told. The three accounts keep apart who asks about users (AUTH), the swarm's
 * traffic (SWARM) and the server's own administration (SYS). Only NKeys pinned here pass without
 * the gate. `verify_and_map` would let any CA in `caFile`, a federated partner's too, mint a pinned
 * user; an NKey is held by one process and named by no certificate.
 */
export interface ServerConfig {
  readonly serverName: string;
  /** -1: the server picks a free port and writes it to a file in `portsFileDir`. */
  readonly port: number;
  readonly portsFileDir?: string;
  readonly pidFile: string;
  /** JetStream's folder; the broker alone writes it. */
  readonly storeDir: string;
  readonly tls: { readonly certFile: string; readonly keyFile: string; readonly caFile: string };
  /** Public account key (`A…`) whose seed signs user JWTs: the gates hold it. */
  readonly issuer: string;
  /** Public user keys (`U…`): gates in AUTH, the supervisor in SWARM, the administrator in SYS. */
  readonly users: {
    readonly gates: readonly string[];
    readonly operator: string;
    readonly system: string;
  };
  /** Bytes of headers and payload together. */
  readonly maxPayload?: number;
  readonly logFile?: string;
  /** Tests and benches: users by name and password who bypass the gate, to compare with it. */
  readonly staticUsers?: readonly { readonly user: string; readonly password: string }[];
}

export const SWARM_ACCOUNT = 'SWARM';
export const AUTH_ACCOUNT = 'AUTH';

const PUBLIC_NKEY = /^[UA][A-Z2-7]{55}$/;
export const DEFAULT_MAX_PAYLOAD = 512 * 1024;

/** Text in double quotes. @throws Error on a character that nats-server's parser would act on. */
export function quoted(what: string, text: string): string {
  // Quotes and backslashes end or alter the string; `$` at its start names a variable.
  for (const character of text) {
    if (character < ' ' || character === '"' || character === '\\' || character === '\x7f') {
      throw new Error(`nats-server configuration: ${what} contains a character it may not contain`);
    }
  }
  return `"${text}"`;
}

function nkey(what: string, key: string): string {
  if (!PUBLIC_NKEY.test(key)) {
    throw new Error(`nats-server configuration: ${what} is not a public NKey (U… or A…)`);
  }
  return key;
}

function userList(keys: readonly string[]): string {
  return `[ ${keys.map((key) => `{ nkey: ${key} }`).join(', ')} ]`;
}

/**
 * Renders nats-server's configuration: loopback only, TLS with required client certificates, auth
 * callout, JetStream for SWARM. Monitoring, websocket, leafnode, MQTT and route listeners stay off.
 * @throws Error naming the value that cannot be written safely.
 */
export function renderServerConfig(config: ServerConfig): string {
  const gates = config.users.gates.map((key) => nkey('gate key', key));
  const operator = nkey('operator key', config.users.operator);
  const system = nkey('system key', config.users.system);
  if (gates.length === 0) throw new Error('nats-server configuration: no gate key given');
  if (new Set([...gates, operator, system]).size !== gates.length + 2) {
    throw new Error('nats-server configuration: one NKey is used for two users');
  }
  const statics = (config.staticUsers ?? []).map(
    ({ user, password }) =>
      `{ user: ${quoted('user', user)}, password: ${quoted('password', password)} }`,
  );
  const bypass = [
    ...gates,
    operator,
    system,
    ...(config.staticUsers ?? []).map(({ user }) => quoted('user', user)),
  ];
  const swarmUsers = [`{ nkey: ${operator} }`, ...statics];
  // Map entries stand on lines of their own: the parser swallows entries separated by blanks.
  return [
    `server_name: ${quoted('server name', config.serverName)}`,
    'host: "127.0.0.1"',
    `port: ${config.port}`,
    ...(config.portsFileDir === undefined
      ? []
      : [`ports_file_dir: ${quoted('ports folder', config.portsFileDir)}`]),
    `pid_file: ${quoted('pid file', config.pidFile)}`,
    ...(config.logFile === undefined
      ? []
      : [
          `log_file: ${quoted('log file', config.logFile)}`,
          // Whoever is denied in a loop fills no disk.
          'logfile_size_limit: 16777216',
          'logfile_max_num: 2',
        ]),
    `max_payload: ${config.maxPayload ?? DEFAULT_MAX_PAYLOAD}`,
    // A connection that does not read is cut before it holds the broker's memory.
    'max_pending: 67108864',
    'write_deadline: "5s"',
    'ping_interval: "20s"',
    'tls {',
    `  cert_file: ${quoted('certificate file', config.tls.certFile)}`,
    `  key_file: ${quoted('key file', config.tls.keyFile)}`,
    `  ca_file: ${quoted('CA file', config.tls.caFile)}`,
    '  verify: true',
    '  min_version: "1.3"',
    '  timeout: 2',
    '}',
    'jetstream {',
    `  store_dir: ${quoted('store folder', config.storeDir)}`,
    // Unknown members of an API request are an error: a server's answer sent there is no request.
    '  strict: true',
    '}',
    'accounts {',
    `  ${AUTH_ACCOUNT} {`,
    `    users: ${userList(gates)}`,
    '  }',
    `  ${SWARM_ACCOUNT} {`,
    '    jetstream: enabled',
    `    users: [ ${swarmUsers.join(', ')} ]`,
    '  }',
    '  SYS {',
    `    users: ${userList([system])}`,
    '  }',
    '}',
    'system_account: SYS',
    'authorization {',
    '  timeout: 2',
    '  auth_callout {',
    `    issuer: ${nkey('issuer key', config.issuer)}`,
    `    account: ${AUTH_ACCOUNT}`,
    `    auth_users: [ ${bypass.join(', ')} ]`,
    '  }',
    '}',
    '',
  ].join('\n');
}
