import { randomBytes } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { createNKey } from '#bus/gate/nkey.ts';
import { renderServerConfig } from '#bus/server-config.ts';
import { bundleToPem, certificatesToPem } from '#identity/bundle.ts';
import type { BundleSet, X509Svid } from '#identity/svid.ts';
import type { Credentials, Uids } from '#runtime/launcher/isolation.ts';
import type { Lifeline } from '#runtime/launcher/lifeline.ts';
import {
  createOutsideNatsServer,
  OUTSIDE_LOG,
  type OutsideBrokerOptions,
} from '#runtime/launcher/nats-outside.ts';
import {
  createNatsServer,
  type NatsServer,
  type NatsServerFiles,
} from '#runtime/launcher/nats-server.ts';
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

/** The broker's own certificate and key, 0600: nats-server reads files, not the Workload API. */
export async function writeBrokerFiles(
  run: RunFolder,
  svid: X509Svid,
  bundles: BundleSet,
  owner?: Credentials,
): Promise<void> {
  const roots = [...bundles.values()].map(bundleToPem).join('');
  const files: [string, string][] = [
    ['server.pem', certificatesToPem(svid.certificates)],
    ['server-key.pem', svid.key.export({ format: 'pem', type: 'pkcs8' }).toString()],
    ['ca.pem', roots],
  ];
  // All are written before the first takes its place: a full disk leaves the old ones as they are.
  for (const [name, content] of files) {
    const aside = join(run.nats, `${name}.new`);
    await rm(aside, { force: true });
    const file = await open(aside, 'wx', 0o600);
    try {
      await file.writeFile(content);
      // By descriptor: the folder is the broker's, which could exchange what a name stands for.
      if (owner !== undefined) await file.chown(owner.uid, owner.gid);
    } finally {
      await file.close();
    }
  }
  for (const [name] of files) await rename(join(run.nats, `${name}.new`), join(run.nats, name));
}

export interface BrokerOptions {
  readonly run: RunFolder;
  readonly natsServer: string;
  readonly keys: BrokerKeys;
  readonly lifeline: Lifeline;
  readonly uids?: Uids | undefined;
  readonly serverName: string;
  /** Each line of the broker's log. */
  readonly onLine?: (line: string) => void;
  /** Somebody else runs the broker, from the files in the run's `nats/`; `natsServer` is not used. */
  readonly outside?: Pick<OutsideBrokerOptions, 'port' | 'connect'>;
}

/** nats-server with the swarm's configuration: public halves of keys only. */
export function createBroker(options: BrokerOptions): NatsServer {
  const { run, keys } = options;
  const render = (port: number, files: NatsServerFiles, logFile?: string): string =>
    renderServerConfig({
      serverName: options.serverName,
      port,
      portsFileDir: files.portsFolder,
      pidFile: files.pidFile,
      storeDir: files.storeFolder,
      ...(logFile !== undefined && { logFile }),
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
  const heard = options.onLine !== undefined && { onLine: options.onLine };
  if (options.outside !== undefined) {
    const logFile = join(run.nats, OUTSIDE_LOG);
    return createOutsideNatsServer({
      ...options.outside,
      folder: run.nats,
      ...heard,
      render: (port, files) => render(port, files, logFile),
    });
  }
  return createNatsServer({
    program: options.natsServer,
    folder: run.nats,
    logs: run.logs,
    lifeline: options.lifeline,
    uids: options.uids,
    ...heard,
    render,
  });
}
