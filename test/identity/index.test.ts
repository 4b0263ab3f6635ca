import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { bundleToPem } from '#identity/bundle.ts';
import { writeBundleDocument } from '#identity/bundle-document.ts';
import type * as identity from '#identity/index.ts';
import { openX509Source } from '#identity/workload-api/client.ts';
import { openJwtSource } from '#identity/workload-api/jwt-source.ts';
import { filesIn, importsOf, ROOT, read, resolveImport } from '../architecture/sources.ts';
import { Bench, sensorEntry, TRUST_DOMAIN } from './issuer/harness.ts';

const ID = sensorEntry().spiffe_id;

/** All files and npm packages that `path` needs to run; types vanish. */
function needsOf(path: string, seen = new Set<string>(), packages = new Set<string>()) {
  if (seen.has(path)) return { files: seen, packages };
  seen.add(path);
  // The generated code is not ours to judge, but what it imports is.
  for (const { specifier } of importsOf({ path, text: read(path) })) {
    const target = specifier === undefined ? undefined : resolveImport(path, specifier);
    if (target?.kind === 'file') needsOf(target.path, seen, packages);
    if (target?.kind === 'package') packages.add(target.name);
  }
  return { files: seen, packages };
}

describe('the client half can be taken alone', () => {
  const { files, packages } = needsOf('identity/index.ts');

  test('it needs no issuer, no attestor and no native code', () => {
    const others = [...files].filter((path) => /^identity\/(issuer|attestors)\//.test(path));
    expect(others).toEqual([]);
    expect([...files].filter((path) => !path.startsWith('identity/'))).toEqual([]);
    expect([...packages].sort()).toEqual([
      '@bufbuild/protobuf',
      '@connectrpc/connect',
      '@connectrpc/connect-node',
    ]);
  });

  test('every file of the client half is in it', () => {
    const client = filesIn('identity', ['.ts']).filter((path) =>
      /^identity\/((jwt|workload-api|x509)\/)?[\w-]+\.ts$/.test(path),
    );
    expect(client.filter((path) => !files.has(path))).toEqual([]);
  });
});

/** The examples of the page by their names. */
const EXAMPLES = new Map(
  [...read('docs/identity.md').matchAll(/^```ts (\S+\.ts)\n([\s\S]*?)^```$/gm)].map(
    ([, name = '', text = '']) => [name, text],
  ),
);

type WhoAmI = { whoAmI(environment: Record<string, string | undefined>): Promise<string> };
type Reports = {
  serveReports(source: identity.X509Source, domain: string): Promise<import('node:https').Server>;
  fetchReport(
    source: identity.X509Source,
    server: import('node:https').Server,
    id: identity.SpiffeId,
  ): Promise<string>;
};
type Tokens = { sendAndCheck(socketPath: string): Promise<string> };
type Offline = {
  whoSigned(chain: readonly Uint8Array[], domain: string, pem: string, now: Date): string;
  whoseToken(token: string, domain: string, document: Uint8Array, now: Date): string;
};

describe('the examples of docs/identity.md', () => {
  let folder: string;
  let bench: Bench;
  beforeAll(() => {
    // Below the root, where `#identity/` means something.
    mkdirSync(join(ROOT, '.swarmproof'), { recursive: true });
    folder = mkdtempSync(join(ROOT, '.swarmproof', 'examples-'));
    for (const [name, text] of EXAMPLES) writeFileSync(join(folder, name), text);
  });
  afterAll(() => rmSync(folder, { recursive: true }));
  beforeEach(async () => {
    bench = new Bench();
    await bench.start();
    await bench.link.setEntries([sensorEntry({ x509_svid_ttl: 600 })]);
    await bench.attestSelf();
  });
  afterEach(() => bench.stop());
  async function example<T>(name: string): Promise<T> {
    return import(/* @vite-ignore */ pathToFileURL(join(folder, name)).href);
  }

  // The compiler reads all that the examples need: on a busy machine that takes its time.
  test('are those that are run here, and the compiler takes them as they stand', {
    timeout: 300_000,
  }, () => {
    expect([...EXAMPLES.keys()]).toEqual(['whoami.ts', 'reports.ts', 'tokens.ts', 'offline.ts']);
    const config = { extends: join(ROOT, 'tsconfig.json'), include: ['./*.ts'], exclude: [] };
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(config));
    const { stdout, status } = spawnSync(join(ROOT, 'node_modules/.bin/tsc'), ['-p', folder], {
      encoding: 'utf8',
    });
    expect({ stdout, status }).toEqual({ stdout: '', status: 0 });
  });

  test('who am I', async () => {
    const { whoAmI } = await example<WhoAmI>('whoami.ts');
    const environment = { SPIFFE_ENDPOINT_SOCKET: `unix://${bench.socketPath}` };
    expect(await whoAmI(environment)).toBe(ID);
    await expect(whoAmI({})).rejects.toThrow('SPIFFE_ENDPOINT_SOCKET');
  });

  test('mutual TLS, and its impostor', async () => {
    const { serveReports, fetchReport } = await example<Reports>('reports.ts');
    const source = await openX509Source({ socketPath: bench.socketPath });
    const server = await serveReports(source, TRUST_DOMAIN);
    try {
      expect(await fetchReport(source, server, source.svid().id)).toBe(`report for ${ID}`);
      const another = `${ID}-2` as identity.SpiffeId;
      await expect(fetchReport(source, server, another)).rejects.toThrow('PEER_UNEXPECTED');
    } finally {
      source.close();
      server.close();
    }
  });

  test('tokens', async () => {
    const { sendAndCheck } = await example<Tokens>('tokens.ts');
    expect(await sendAndCheck(bench.socketPath)).toBe(ID);
  });

  test('without a Workload API', async () => {
    const { whoSigned, whoseToken } = await example<Offline>('offline.ts');
    const { socketPath } = bench;
    const [x509, jwt] = await Promise.all([
      openX509Source({ socketPath }),
      openJwtSource({ socketPath }),
    ]);
    const authorities = x509.bundles().get(TRUST_DOMAIN);
    const keys = jwt.bundles().get(TRUST_DOMAIN);
    const token = await jwt.token({ audience: 'reports' });
    if (authorities === undefined || keys === undefined || !token.ok)
      throw new Error('no material');
    const now = new Date();
    const { certificates } = x509.svid();
    const pem = bundleToPem(authorities);
    expect(whoSigned(certificates, TRUST_DOMAIN, pem, now)).toBe(ID);
    expect(whoSigned(certificates, 'other.example', pem, now)).toBe('SVID_TRUST_DOMAIN_UNKNOWN');
    const document = Buffer.from(
      writeBundleDocument({ trustDomain: TRUST_DOMAIN, x509: authorities, jwt: keys }),
    );
    expect(whoseToken(token.value.token, TRUST_DOMAIN, document, now)).toBe(ID);
    expect(whoseToken(`${token.value.token}A`, TRUST_DOMAIN, document, now)).toMatch(/^JWT_/);
    x509.close();
    jwt.close();
  });
});
