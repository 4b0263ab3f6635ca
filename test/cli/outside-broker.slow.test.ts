import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes, type X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { type AddressInfo, createServer, connect as dial } from 'node:net';
import { join } from 'node:path';
import { connect as dialTls } from 'node:tls';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createNKey } from '#bus/gate/nkey.ts';
import { renderServerConfig } from '#bus/server-config.ts';
import { openBrokerSession } from '#cli/wiring/broker-session.ts';
import { certificatesToPem } from '#identity/bundle.ts';
import { spiffeId } from '#identity/spiffe-id.ts';
import { createOutsideNatsServer } from '#runtime/launcher/nats-outside.ts';
import type { RunningProcess } from '#runtime/launcher/running.ts';
import { natsServer } from '#test/tools.ts';
import { bundleSet, createTestCa, keyPem, type TestCa, testSource } from '../support/test-ca.ts';
import { folder } from '../swarm/city.ts';

const BROKER = spiffeId('spiffe://city.example/platform/nats');
const SCRIPT = new URL('../../runtime/launcher/broker-outside.sh', import.meta.url).pathname;

let place: ReturnType<typeof folder>;
let ca: TestCa;
let port: number;
let other: ChildProcess | undefined;
const started: RunningProcess[] = [];

beforeEach(async () => {
  place = folder();
  ca = await createTestCa('city.example');
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  ({ port } = probe.address() as AddressInfo);
  probe.close();
  await once(probe, 'close');
});
afterEach(async () => {
  for (const one of started.splice(0)) one.kill();
  if (other !== undefined && other.exitCode === null && other.signalCode === null) {
    const gone = once(other, 'exit');
    other.kill('SIGTERM');
    await gone;
  }
  other = undefined;
  place.remove();
});

/** What compose's broker container does, with the script that it runs. */
function otherSide(): void {
  other = spawn(SCRIPT, [join(place.path, 'nats-server.conf'), natsServer()], {
    stdio: 'ignore',
    env: { PATH: '/usr/bin:/bin' },
  });
}

async function writeCertificate(): Promise<Uint8Array> {
  const svid = await ca.issue(BROKER, { extraSans: [{ type: 'ip', value: '127.0.0.1' }] });
  const write = (name: string, text: string) =>
    writeFileSync(join(place.path, name), text, { mode: 0o600 });
  write('server.pem', certificatesToPem(svid.certificates));
  write('server-key.pem', keyPem(svid.key));
  write('ca.pem', `${ca.rootPem}\n`);
  return svid.certificates[0] ?? new Uint8Array();
}

/** A swarm's side: keys of its own, and the broker that somebody else is to run. */
function swarm(onLine: (line: string) => void = () => {}, patienceMs = 60_000) {
  const nkey = (kind: 'user' | 'account') => createNKey(kind, (length) => randomBytes(length));
  const [issuer, gate, operator, system] = [
    nkey('account'),
    nkey('user'),
    nkey('user'),
    nkey('user'),
  ];
  const file = (name: string) => join(place.path, name);
  return createOutsideNatsServer({
    folder: place.path,
    port,
    patienceMs,
    onLine,
    render: (at, files) =>
      renderServerConfig({
        serverName: 'test',
        port: at,
        pidFile: files.pidFile,
        storeDir: files.storeFolder,
        logFile: file('nats-server.log'),
        tls: {
          certFile: file('server.pem'),
          keyFile: file('server-key.pem'),
          caFile: file('ca.pem'),
        },
        issuer: issuer.publicKey,
        users: {
          gates: [gate.publicKey],
          operator: operator.publicKey,
          system: system.publicKey,
        },
      }),
    connect: async (at) => {
      const svid = await ca.issue('spiffe://city.example/platform/supervisor');
      return openBrokerSession({
        source: testSource(svid, bundleSet(ca)),
        port: at,
        brokerId: BROKER,
        seed: system.seed,
        random: Math.random,
        clock: Date.now,
      });
    },
  });
}

async function start(broker: ReturnType<typeof swarm>): Promise<RunningProcess> {
  const outcome = await broker.start();
  if (!outcome.ok) throw new Error(outcome.detail);
  started.push(outcome.value);
  return outcome.value;
}

const pidOfBroker = () => Number(readFileSync(join(place.path, 'nats-server.pid'), 'utf8'));

/** Refuses what listens after a second, not after as long as a broker may need to start anew. */
const hasty = () => swarm(() => {}, 1000);

/** The certificate that the broker shows to whoever knocks. */
async function shown(): Promise<X509Certificate | undefined> {
  const plain = dial(port, '127.0.0.1');
  await once(plain, 'data');
  const tls = dialTls({ socket: plain, rejectUnauthorized: false });
  tls.on('error', () => {});
  await once(tls, 'secureConnect');
  const certificate = tls.getPeerX509Certificate();
  tls.destroy();
  return certificate;
}

describe('a broker that somebody else runs', () => {
  test('is ready when it has the SVID issued for it and this configuration, whoever is first', async () => {
    await writeCertificate();
    const broker = swarm();
    const life = await start(broker);
    otherSide();
    expect(await life.ready).toBe('ready');
    expect(broker.port()).toBe(port);
    expect(life.pid).toBe(0);
  });

  test('that dies is noticed, comes back on its port, and is believed again', async () => {
    await writeCertificate();
    const broker = swarm();
    const life = await start(broker);
    otherSide();
    await life.ready;
    const pid = pidOfBroker();
    process.kill(pid, 'SIGKILL');
    expect(await life.exited).toMatchObject({
      detail: `the broker on 127.0.0.1:${port} has gone`,
    });
    const next = await start(broker);
    expect(await next.ready).toBe('ready');
    expect(pidOfBroker()).not.toBe(pid);
  });

  test('reads a new certificate when it is told to, and goes on', async () => {
    const first = await writeCertificate();
    const life = await start(swarm());
    otherSide();
    await life.ready;
    expect((await shown())?.raw).toEqual(Buffer.from(first));
    const pid = pidOfBroker();
    const second = await writeCertificate();
    life.reload?.();
    // The broker tells no one that it has read its files; what it shows is what counts.
    await expect.poll(async () => (await shown())?.raw).toEqual(Buffer.from(second));
    expect(pidOfBroker()).toBe(pid);
  });

  test('of an earlier swarm starts anew with the keys of this one', async () => {
    await writeCertificate();
    otherSide();
    const earlier = await start(swarm());
    await earlier.ready;
    const pid = pidOfBroker();
    await writeCertificate();
    const life = await start(swarm());
    expect(await life.ready).toBe('ready');
    expect(pidOfBroker()).not.toBe(pid);
    expect(await earlier.exited).toMatchObject({ detail: expect.stringContaining('has gone') });
  });

  test('ends with the swarm, and nothing listens any more', async () => {
    await writeCertificate();
    const life = await start(swarm());
    otherSide();
    await life.ready;
    await life.stop(5000);
    expect(existsSync(join(place.path, 'nats-server.conf'))).toBe(false);
    await expect(shown()).rejects.toThrow('ECONNREFUSED');
  });

  test('tells its log line by line, as one that is started here does', async () => {
    await writeCertificate();
    const lines: string[] = [];
    const heard = Promise.withResolvers<void>();
    const life = await start(
      swarm((line) => {
        lines.push(line);
        if (line.includes('Server is ready')) heard.resolve();
      }),
    );
    otherSide();
    await life.ready;
    await heard.promise;
    expect(lines.every((line) => !line.includes('\n'))).toBe(true);
  });
});

describe('what listens on the port of the broker and is none of this swarm', () => {
  test.each([
    ['greets as no broker does', '220 mail.example ESMTP\r\n'],
    ['says nothing', ''],
    ['is a broker without TLS', 'INFO {"server_id":"X","version":"2.14.5","max_payload":1024}\r\n'],
  ])('is refused with one clear line when it %s', { timeout: 120_000 }, async (_what, greeting) => {
    const stranger = createServer((socket) => {
      socket.on('error', () => {});
      socket.write(greeting);
    }).listen(port, '127.0.0.1');
    await once(stranger, 'listening');
    await writeCertificate();
    const life = await start(hasty());
    expect(await life.ready).toBeUndefined();
    const { detail } = await life.exited;
    expect(detail).toMatch(
      new RegExp(`^127\\.0\\.0\\.1:${port} is not this swarm's broker \\(.+\\);`),
    );
    expect(detail).not.toContain('\n');
    stranger.close();
  });

  test('is refused when it is a broker of another authority', async () => {
    const own = ca;
    ca = await createTestCa('city.example');
    await writeCertificate();
    ca = own;
    const life = await start(hasty());
    otherSide();
    expect(await life.ready).toBeUndefined();
    expect((await life.exited).detail).toContain("is not this swarm's broker");
  });

  test('nobody at all is waited for, and the way to start one is said', async () => {
    await writeCertificate();
    const life = await start(hasty());
    life.kill();
    expect(await life.ready).toBeUndefined();
    expect((await life.exited).detail).toBe(
      `nobody listens on 127.0.0.1:${port}; run nats-server -c ${join(place.path, 'nats-server.conf')} there`,
    );
    rmSync(join(place.path, 'nats-server.conf'));
  });
});
