import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Bench, sensorEntry, TRUST_DOMAIN } from '../issuer/harness.ts';
import {
  buildGoClients,
  buildPythonClient,
  type GoClients,
  missingGo,
  missingPython,
  type PythonClient,
} from './build.ts';

const SENSOR = sensorEntry().spiffe_id;
const BUILD = { timeout: 25 * 60_000 };
/** On CI a missing toolchain is a failure, and says what to install. */
const CI = process.env.CI !== undefined && process.env.CI !== '';

const bench = new Bench();
const started: ChildProcess[] = [];
beforeAll(async () => {
  // Programs that are not ours ask at once, and are attested a moment after.
  await bench.start({ limits: { graceMs: 8000 } });
  await entries(600);
});
afterAll(async () => {
  for (const child of started) {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGKILL');
      await once(child, 'exit');
    }
  }
  await bench.stop();
});

/** The sensor's entry; another life of its SVIDs makes the issuer issue anew and push. */
async function entries(ttl: number): Promise<void> {
  const set = await bench.link.setEntries([sensorEntry({ x509_svid_ttl: ttl })]);
  if (!set.ok) throw new Error(set.detail);
}

interface Client {
  readonly child: ChildProcess;
  /** The next line of its output as JSON; fails with what it wrote on stderr. */
  answer(): Promise<Record<string, unknown>>;
  go(): void;
  readonly ended: Promise<{
    readonly code: number | null;
    readonly out: string;
    readonly err: string;
  }>;
}

/** Started and attested as a launcher does it with its own. */
async function client(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<Client> {
  const child = spawn(program, [...args], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { PATH: '/usr/bin:/bin', ...env },
  });
  started.push(child);
  await once(child, 'spawn');
  let out = '';
  let err = '';
  const lines: Interface = createInterface({ input: child.stdout });
  const read: string[] = [];
  const waiting: ((line: string | undefined) => void)[] = [];
  lines.on('line', (line) => {
    out += `${line}\n`;
    const taker = waiting.shift();
    if (taker === undefined) read.push(line);
    else taker(line);
  });
  lines.on('close', () => {
    for (const taker of waiting.splice(0)) taker(undefined);
  });
  child.stderr.on('data', (data: Buffer) => {
    err += data.toString();
  });
  child.stdin.on('error', () => {});
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, out, err }));
  const attested = await bench.link.attest(bench.claims(child.pid ?? 0));
  if (!attested.ok) throw new Error(attested.detail);
  return {
    child,
    go: () => child.stdin.write('\n'),
    answer: async () => {
      const line =
        read.shift() ?? (await new Promise<string | undefined>((resolve) => waiting.push(resolve)));
      if (line === undefined) throw new Error(`the client ended: ${(await ended).err}`);
      return JSON.parse(line) as Record<string, unknown>;
    },
    ended,
  };
}

/** What every client of stubs must come to, whatever its language. */
const BY_STUBS = {
  ids: [SENSOR],
  bundles: [`spiffe://${TRUST_DOMAIN}`],
  tokenOf: SENSOR,
  validated: SENSOR,
  jwtBundles: 1,
};

describe.skipIf(missingGo !== undefined && !CI)(
  `clients written in Go (${missingGo ?? 'built'})`,
  () => {
    let go: GoClients;
    beforeAll(async () => {
      if (missingGo !== undefined) throw new Error(missingGo);
      go = await buildGoClients();
    }, BUILD.timeout);

    test('grpc-go with stubs of our own proto uses all five RPCs (E-01, E-02, A-01)', async () => {
      const asked = await client(go.stubs, [bench.socketPath]);
      asked.go();
      expect(await asked.answer()).toEqual({
        ...BY_STUBS,
        audience: ['stubs'],
        otherAudience: 'InvalidArgument',
        withoutHeader: 'InvalidArgument',
      });
      expect((await asked.ended).code).toBe(0);
    });

    test('go-spiffe keeps sources, does mTLS with its SVID, takes tokens, and follows a rotation', async () => {
      await entries(600);
      const asked = await client(go.spiffe, [bench.socketPath, 'audience']);
      asked.go();
      const { first } = await asked.answer();
      expect(first).toMatch(/^[0-9a-f]{16,}$/);
      await entries(601);
      asked.go();
      const answer = await asked.answer();
      expect(answer).toEqual({
        id: SENSOR,
        mtls: SENSOR,
        tokenOf: SENSOR,
        offline: SENSOR,
        online: SENSOR,
        rotated: expect.stringMatching(/^[0-9a-f]{16,}$/),
      });
      expect(answer.rotated).not.toBe(first);
    });

    test('spiffe-helper writes files that openssl, strict, and Node take', async () => {
      const folder = join(bench.folder, 'helper');
      execFileSync('mkdir', ['-m', '700', folder]);
      const config = join(folder, 'helper.conf');
      writeFileSync(
        config,
        [
          `agent_address = "${bench.socketPath}"`,
          `cert_dir = "${folder}"`,
          'daemon_mode = false',
          'svid_file_name = "svid.pem"',
          'svid_key_file_name = "key.pem"',
          'svid_bundle_file_name = "bundle.pem"',
          'jwt_bundle_file_name = "jwks.json"',
          'jwt_svids = [{jwt_audience = "audience", jwt_svid_file_name = "token"}]',
        ].join('\n'),
      );
      const asked = await client(go.helper, ['-config', config]);
      const { code, err, out } = await asked.ended;
      expect([code, code === 0 ? '' : out + err]).toEqual([0, '']);
      const file = (name: string): string => join(folder, name);
      for (const purpose of ['sslserver', 'sslclient']) {
        const verify = ['verify', '-x509_strict', '-purpose', purpose];
        const answer = execFileSync('openssl', [
          ...verify,
          '-CAfile',
          file('bundle.pem'),
          file('svid.pem'),
        ]);
        expect(answer.toString()).toContain('svid.pem: OK');
      }
      const leaf = new X509Certificate(readFileSync(file('svid.pem')));
      expect(leaf.subjectAltName).toBe(`URI:${SENSOR}`);
      expect(leaf.checkPrivateKey(createPrivateKey(readFileSync(file('key.pem'))))).toBe(true);
      expect(readFileSync(file('token'), 'utf8').split('.')).toHaveLength(3);
      expect(existsSync(file('jwks.json'))).toBe(true);
    });

    test('grpcurl finds the service by reflection and has a token with nothing else', async () => {
      const header = ['-plaintext', '-unix', '-H', 'workload.spiffe.io: true'];
      const list = await client(go.grpcurl, [...header, bench.socketPath, 'list']);
      const listed = await list.ended;
      expect([listed.err, listed.out.split('\n')]).toEqual([
        '',
        expect.arrayContaining(['SpiffeWorkloadAPI']),
      ]);
      const request = ['-d', '{"audience": ["grpcurl"]}', bench.socketPath];
      const method = 'SpiffeWorkloadAPI/FetchJWTSVID';
      const asked = await (await client(go.grpcurl, [...header, ...request, method])).ended;
      expect([asked.err, JSON.parse(asked.out)]).toMatchObject([
        '',
        { svids: [{ spiffeId: SENSOR }] },
      ]);
    });

    test('a client that nobody attested gets PermissionDenied, whatever library it uses', async () => {
      const stranger = spawn(go.stubs, [bench.socketPath], {
        stdio: ['pipe', 'ignore', 'pipe'],
      });
      started.push(stranger);
      let err = '';
      stranger.stderr.on('data', (data: Buffer) => {
        err += data.toString();
      });
      stranger.stdin.write('\n');
      expect(await once(stranger, 'close')).toEqual([1, null]);
      expect(err).toContain('PermissionDenied');
    });
  },
  BUILD.timeout,
);

describe.skipIf(missingPython !== undefined && !CI)(
  `clients written in Python (${missingPython ?? 'built'})`,
  () => {
    let python: PythonClient;
    beforeAll(async () => {
      if (missingPython !== undefined) throw new Error(missingPython);
      python = await buildPythonClient();
    }, BUILD.timeout);
    const ask = (...args: readonly string[]): Promise<Client> =>
      client(python.python, ['-B', python.script, ...args], { PYTHONPATH: python.stubs });

    test('grpcio with stubs of our own proto uses all five RPCs (E-01, E-02, A-01)', async () => {
      const asked = await ask('stubs', bench.socketPath);
      asked.go();
      expect(await asked.answer()).toEqual({
        ...BY_STUBS,
        uris: [SENSOR],
        ownKey: true,
        otherAudience: 'INVALID_ARGUMENT',
        withoutHeader: 'INVALID_ARGUMENT',
      });
    });

    test('py-spiffe keeps sources, takes tokens, and follows a rotation', async () => {
      await entries(700);
      const asked = await ask('spiffe', bench.socketPath, 'audience');
      asked.go();
      const { first } = await asked.answer();
      await entries(701);
      asked.go();
      const answer = await asked.answer();
      expect(answer).toEqual({
        id: SENSOR,
        authorities: 1,
        tokenOf: SENSOR,
        online: SENSOR,
        jwtAuthorities: 1,
        rotated: expect.stringMatching(/^[0-9a-f]{16,}$/),
      });
      expect(answer.rotated).not.toBe(first);
    });
  },
  BUILD.timeout,
);
