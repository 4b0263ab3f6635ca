import { randomBytes } from 'node:crypto';
import { readFileSync, rmSync, watch } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createNKey } from '#bus/gate/nkey.ts';
import { renderServerConfig } from '#bus/server-config.ts';
import type { Outcome } from '#identity/outcome.ts';
import type { BundleSet, X509Svid } from '#identity/svid.ts';
import type { Lifeline } from '#runtime/launcher/lifeline.ts';
import { launchProgram } from '#runtime/launcher/program.ts';
import type { RunningProcess } from '#runtime/launcher/running.ts';
import type { RunFolder } from '#runtime/run-folder.ts';

/** Key pairs of one run. Seeds stay in memory; the broker's configuration has the public halves. */
export interface BrokerKeys {
  readonly issuer: { readonly seed: string; readonly publicKey: string };
  readonly gates: Readonly<Record<string, { readonly seed: string; readonly publicKey: string }>>;
  readonly operator: { readonly seed: string; readonly publicKey: string };
  readonly system: { readonly seed: string; readonly publicKey: string };
}

export function createBrokerKeys(): BrokerKeys {
  const random = (length: number): Uint8Array => randomBytes(length);
  return {
    issuer: createNKey('account', random),
    gates: { 'gate-a': createNKey('user', random), 'gate-b': createNKey('user', random) },
    operator: createNKey('user', random),
    system: createNKey('user', random),
  };
}

const pem = (der: Uint8Array): string =>
  `-----BEGIN CERTIFICATE-----\n${Buffer.from(der)
    .toString('base64')
    .replace(/(.{64})/g, '$1\n')
    .trimEnd()}\n-----END CERTIFICATE-----\n`;

/** The broker's own certificate and key, 0600: nats-server reads files, not the Workload API. */
export async function writeBrokerFiles(
  run: RunFolder,
  svid: X509Svid,
  bundles: BundleSet,
): Promise<void> {
  const key = svid.key.export({ format: 'pem', type: 'pkcs8' }).toString();
  const roots = [...bundles.values()].flatMap(({ authorities }) =>
    authorities.map(({ raw }) => raw),
  );
  const files: [string, string][] = [
    ['server.pem', svid.certificates.map(pem).join('')],
    ['server-key.pem', key],
    ['ca.pem', roots.map(pem).join('')],
  ];
  for (const [name, content] of files) {
    rmSync(join(run.nats, name), { force: true });
    await writeFile(join(run.nats, name), content, { mode: 0o600 });
  }
}

export interface BrokerOptions {
  readonly run: RunFolder;
  readonly natsServer: string;
  readonly keys: BrokerKeys;
  readonly lifeline: Lifeline;
  readonly serverName: string;
}

export interface Broker {
  /** Known after the first start, and kept: who reconnects finds it where it was. */
  url(): string;
  start(): Promise<Outcome<RunningProcess>>;
}

export function createBroker(options: BrokerOptions): Broker {
  const { run, keys } = options;
  let port = -1;
  return {
    url: () => `tls://127.0.0.1:${port}`,
    start: async () => {
      const ports = join(run.nats, 'ports');
      rmSync(ports, { recursive: true, force: true });
      await mkdir(ports, { mode: 0o700 });
      const config = renderServerConfig({
        serverName: options.serverName,
        port,
        portsFileDir: ports,
        pidFile: join(run.nats, 'nats-server.pid'),
        storeDir: join(run.nats, 'jetstream'),
        tls: {
          certFile: join(run.nats, 'server.pem'),
          keyFile: join(run.nats, 'server-key.pem'),
          caFile: join(run.nats, 'ca.pem'),
        },
        issuer: keys.issuer.publicKey,
        users: {
          gates: Object.values(keys.gates).map(({ publicKey }) => publicKey),
          operator: keys.operator.publicKey,
          system: keys.system.publicKey,
        },
      });
      const configFile = join(run.nats, 'nats-server.conf');
      await writeFile(configFile, config, { mode: 0o600 });
      return launchProgram({
        name: 'nats',
        program: options.natsServer,
        args: ['-c', configFile],
        cwd: run.nats,
        logs: run.logs,
        lifeline: options.lifeline,
        untilReady: async (pid, signal) => {
          port = await writtenPort(ports, pid, signal);
        },
      });
    },
  };
}

/** nats-server writes its ports when it serves; the file's arrival is the readiness event. */
async function writtenPort(folder: string, pid: number, signal: AbortSignal): Promise<number> {
  const file = join(folder, `nats-server_${pid}.ports`);
  const read = (): number | undefined => {
    try {
      const { nats } = JSON.parse(readFileSync(file, 'utf8')) as { nats: string[] };
      const url = nats.find((one) => one.includes('127.0.0.1'));
      return url === undefined ? undefined : Number(new URL(url).port);
    } catch {
      return undefined; // Not there yet, or half written: the next event decides.
    }
  };
  const found = Promise.withResolvers<number>();
  const look = (): void => {
    const port = read();
    if (port !== undefined) found.resolve(port);
  };
  const watcher = watch(folder, look);
  signal.addEventListener('abort', () => found.reject(new Error('nats-server ended')));
  look();
  try {
    return await found.promise;
  } finally {
    watcher.close();
  }
}
