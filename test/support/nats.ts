import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, watch, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createNKey } from '#bus/gate/nkey.ts';
import { renderServerConfig, type ServerConfig } from '#bus/server-config.ts';
import { natsServer } from '#test/tools.ts';
import { keyPem, pemOf, type TestCa } from './test-ca.ts';

export const BROKER_PATH = '/platform/nats';

export interface TestBroker {
  /** `tls://127.0.0.1:PORT` */
  readonly url: string;
  readonly dir: string;
  readonly brokerId: string;
  readonly issuerSeed: string;
  readonly gateSeeds: readonly string[];
  readonly operatorSeed: string;
  readonly systemSeed: string;
  pid(): number;
  /** SIGKILL, and waits until the process is gone. */
  kill(): Promise<void>;
  /** Starts it again on the same port with the same store. */
  start(): Promise<void>;
  /** Ends the process and removes its folder. */
  stop(): Promise<void>;
  log(): string;
}

async function portOf(folder: string, child: ChildProcess, log: () => string): Promise<number> {
  const file = join(folder, `nats-server_${child.pid}.ports`);
  const exited = once(child, 'exit').then(() => {
    throw new Error(`nats-server left before it was ready: ${log()}`);
  });
  const found = new Promise<number>((resolve) => {
    const look = () => {
      try {
        const ports = JSON.parse(readFileSync(file, 'utf8')) as { nats?: string[] };
        const url = ports.nats?.[0];
        if (url !== undefined) {
          watcher.close();
          resolve(Number(new URL(url).port));
        }
      } catch {
        // Not written yet, or half written: the watcher looks again.
      }
    };
    const watcher = watch(folder, look);
    child.once('exit', () => watcher.close());
    look();
  });
  return Promise.race([found, exited]);
}

/** The product's own configuration, but for the two limits on TLS and on the gate's answer. */
const patient =
  (seconds: number) =>
  (config: ServerConfig): string => {
    const lines = renderServerConfig(config).split('  timeout: 2\n');
    if (lines.length !== 3) throw new Error('the limits on a handshake are written another way');
    return lines.join(`  timeout: ${seconds}\n`);
  };

/** A real nats-server on a free loopback port with the product's own configuration. */
export async function startBroker(options: {
  readonly ca: TestCa;
  /** CAs in `ca_file` beside the swarm's own: federated partners. */
  readonly federated?: readonly TestCa[];
  readonly staticUsers?: readonly { readonly user: string; readonly password: string }[];
  /** How long a client may take to be let in, default 30 s: what is tried once must not be too late. */
  readonly handshakeSeconds?: number;
}): Promise<TestBroker> {
  const { ca, handshakeSeconds = 30 } = options;
  const dir = mkdtempSync(join(tmpdir(), 'swarmproof-nats-'));
  const brokerId = `spiffe://${ca.trustDomain}${BROKER_PATH}`;
  const svid = await ca.issue(brokerId, {
    extraSans: [
      { type: 'dns', value: 'localhost' },
      { type: 'ip', value: '127.0.0.1' },
    ],
  });
  const file = (name: string) => join(dir, name);
  writeFileSync(file('cert.pem'), svid.certificates.map(pemOf).join(''), { mode: 0o600 });
  writeFileSync(file('key.pem'), keyPem(svid.key), { mode: 0o600 });
  writeFileSync(
    file('ca.pem'),
    [ca, ...(options.federated ?? [])].map((authority) => `${authority.rootPem}\n`).join(''),
  );
  mkdirSync(file('ports'));
  const random = (length: number) => randomBytes(length);
  const issuer = createNKey('account', random);
  const gates = [createNKey('user', random), createNKey('user', random)];
  const operator = createNKey('user', random);
  const system = createNKey('user', random);
  const configure = (port: number) =>
    writeFileSync(
      file('nats.conf'),
      patient(handshakeSeconds)({
        serverName: 'test',
        port,
        portsFileDir: file('ports'),
        pidFile: file('nats.pid'),
        storeDir: file('store'),
        logFile: file('nats.log'),
        tls: { certFile: file('cert.pem'), keyFile: file('key.pem'), caFile: file('ca.pem') },
        issuer: issuer.publicKey,
        users: {
          gates: gates.map(({ publicKey }) => publicKey),
          operator: operator.publicKey,
          system: system.publicKey,
        },
        ...(options.staticUsers === undefined ? {} : { staticUsers: options.staticUsers }),
      }),
    );
  const log = () => {
    try {
      return readFileSync(file('nats.log'), 'utf8');
    } catch {
      return '';
    }
  };
  let child: ChildProcess | undefined;
  let port = -1;
  async function start(): Promise<void> {
    configure(port);
    child = spawn(natsServer(), ['-c', file('nats.conf')], { stdio: 'ignore' });
    port = await portOf(file('ports'), child, log);
  }
  async function kill(): Promise<void> {
    const running = child;
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return;
    const gone = once(running, 'exit');
    running.kill('SIGKILL');
    await gone;
  }
  await start();
  return {
    url: `tls://127.0.0.1:${port}`,
    dir,
    brokerId,
    issuerSeed: issuer.seed,
    gateSeeds: gates.map(({ seed }) => seed),
    operatorSeed: operator.seed,
    systemSeed: system.seed,
    pid: () => child?.pid ?? 0,
    kill,
    start,
    stop: async () => {
      await kill();
      rmSync(dir, { recursive: true, force: true });
    },
    log,
  };
}
