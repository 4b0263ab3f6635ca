import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, watch, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from '@nats-io/transport-node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { certificatesToPem } from '#identity/bundle.ts';
import { spiffeId } from '#identity/spiffe-id.ts';
import { clientTls } from '#identity/tls.ts';
import { natsServer } from '#test/tools.ts';
import type { Issued } from './support/authority.ts';
import { leafToday, OWN, rootToday } from './support/pushed.ts';
import { pushedSource, svidFrom } from './support/source.ts';

const BROKER = spiffeId(`spiffe://${OWN}/platform/nats`);
const AGENT = spiffeId(`spiffe://${OWN}/agent/sensor/north/cam-1`);
let folder: string;
let root: Issued;
let url: string;
let stop: () => Promise<void>;

/** The broker writes its ports file when it listens. */
function portsFile(name: string): Promise<string> {
  return new Promise((resolve) => {
    const path = join(folder, name);
    const look = () => {
      try {
        const [found] = JSON.parse(readFileSync(path, 'utf8')).nats as string[];
        if (found === undefined) return;
        watcher.close();
        resolve(found);
      } catch {
        // Not there yet, or half written.
      }
    };
    const watcher = watch(folder, look);
    look();
  });
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'swarmproof-tls-'));
  root = await rootToday();
  const broker = await leafToday(root, BROKER);
  const file = (name: string, text: string) => {
    writeFileSync(join(folder, name), text, { mode: 0o600 });
    return JSON.stringify(join(folder, name));
  };
  const key = broker.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString();
  const config = `
    listen: "127.0.0.1:-1"
    ports_file_dir: ${JSON.stringify(folder)}
    tls {
      cert_file: ${file('cert.pem', certificatesToPem([broker.der]))}
      key_file: ${file('key.pem', key)}
      ca_file: ${file('ca.pem', certificatesToPem([root.der]))}
      verify: true
    }`;
  file('nats.conf', config);
  const child = spawn(natsServer(), ['-c', join(folder, 'nats.conf')], { stdio: 'ignore' });
  const exited = once(child, 'exit');
  stop = async () => {
    child.kill('SIGKILL');
    await exited;
  };
  url = await portsFile(`nats-server_${child.pid}.ports`);
});
afterAll(async () => {
  await stop();
  rmSync(folder, { recursive: true });
});

async function agent() {
  return pushedSource(svidFrom(await leafToday(root, AGENT), AGENT), root);
}
const settings = { reconnect: false, waitOnFirstConnect: false, timeout: 30_000 };

test('the NATS client takes the options as they are, and the broker proves its SPIFFE ID (XV-05)', async () => {
  const source = await agent();
  const connection = await connect({ servers: url, tls: clientTls(source, BROKER), ...settings });
  await connection.flush();
  await connection.close();
});

test('a broker with another SPIFFE ID is refused', async () => {
  const tls = clientTls(await agent(), spiffeId(`spiffe://${OWN}/platform/ledger`));
  await expect(connect({ servers: url, tls, ...settings })).rejects.toThrow('PEER_UNEXPECTED');
});

test('a reconnect uses the SVID pushed meanwhile, and none when it was taken away (C-05)', async () => {
  const source = await agent();
  const tls = clientTls(source, BROKER);
  const first = source.svid().serial;
  const used: string[] = [];
  const watched = {
    get cert() {
      used.push(source.svid().serial);
      return tls.cert;
    },
    get key() {
      return tls.key;
    },
    get ca() {
      return tls.ca;
    },
    checkServerIdentity: tls.checkServerIdentity,
  };
  const connection = await connect({
    servers: url,
    tls: watched,
    reconnectTimeWait: 1,
    reconnectJitter: 0,
    reconnectJitterTLS: 0,
    maxReconnectAttempts: 3,
  });
  source.push(svidFrom(await leafToday(root, AGENT), AGENT));
  const statuses = connection.status()[Symbol.asyncIterator]();
  const until = async (type: string) => {
    for (let next = await statuses.next(); !next.done; next = await statuses.next()) {
      if (next.value.type === type) return;
    }
  };
  await connection.reconnect();
  await until('reconnect');
  expect(new Set(used)).toEqual(new Set([first, source.svid().serial]));
  source.push(undefined, []);
  await connection.reconnect();
  expect(await connection.closed()).toBeInstanceOf(Error);
});
