import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { file_workload, SpiffeWorkloadAPI } from '#identity/workload-api/generated/workload_pb.ts';

const ROOT = new URL('../../../', import.meta.url).pathname;
const COMMITTED = join(ROOT, 'identity/workload-api/generated');
const folder = mkdtempSync(join(tmpdir(), 'swarmproof-buf-'));
afterAll(() => rmSync(folder, { recursive: true }));

function buf(...args: readonly string[]) {
  const bin = join(ROOT, 'node_modules/.bin');
  const PATH = `${bin}${delimiter}${process.env.PATH}`;
  return spawnSync(join(bin, 'buf'), args, {
    cwd: ROOT,
    encoding: 'utf8',
    env: { ...process.env, PATH },
  });
}

describe('the committed code', () => {
  test('is what `npm run generate` writes', () => {
    expect(buf('generate', '-o', folder)).toMatchObject({ status: 0 });
    const made = join(folder, 'identity/workload-api/generated');
    expect(readdirSync(COMMITTED)).toEqual(readdirSync(made));
    for (const file of readdirSync(made)) {
      expect(readFileSync(join(COMMITTED, file), 'utf8')).toBe(
        readFileSync(join(made, file), 'utf8'),
      );
    }
  });

  test('passes the lint of buf', () => {
    expect(buf('lint')).toMatchObject({ status: 0, stdout: '' });
  });
});

/** Spelled from the standard: other implementations read these numbers on the wire. */
const STANDARD = {
  X509SVIDRequest: [],
  X509SVIDResponse: ['svids=1', 'crl=2', 'federated_bundles=3'],
  X509SVID: ['spiffe_id=1', 'x509_svid=2', 'x509_svid_key=3', 'bundle=4', 'hint=5'],
  X509BundlesRequest: [],
  X509BundlesResponse: ['crl=1', 'bundles=2'],
  JWTSVIDRequest: ['audience=1', 'spiffe_id=2'],
  JWTSVIDResponse: ['svids=1'],
  JWTSVID: ['spiffe_id=1', 'svid=2', 'hint=3'],
  JWTBundlesRequest: [],
  JWTBundlesResponse: ['bundles=1'],
  ValidateJWTSVIDRequest: ['audience=1', 'svid=2'],
  ValidateJWTSVIDResponse: ['spiffe_id=1', 'claims=2'],
  WITSVIDRequest: ['spiffe_id=1'],
  WITSVIDResponse: ['svids=1'],
  WITSVID: ['spiffe_id=1', 'wit_svid=2', 'wit_svid_key=3', 'hint=4'],
  WITBundlesRequest: [],
  WITBundlesResponse: ['bundles=1'],
};

describe('the service of the standard (E-09)', () => {
  test('has no package, and exactly its methods (E-07, A-01)', () => {
    expect(SpiffeWorkloadAPI.typeName).toBe('SpiffeWorkloadAPI');
    const methods = SpiffeWorkloadAPI.methods.map(
      ({ name, methodKind }) => `${name} ${methodKind}`,
    );
    expect(methods).toEqual([
      'FetchX509SVID server_streaming',
      'FetchX509Bundles server_streaming',
      'FetchJWTSVID unary',
      'FetchJWTBundles server_streaming',
      'ValidateJWTSVID unary',
      'FetchWITSVID server_streaming',
      'FetchWITBundles server_streaming',
    ]);
  });

  test('has the field numbers of the standard', () => {
    const ours = file_workload.messages.map(({ name, fields }) => [
      name,
      fields.map((field) => `${field.name}=${field.number}`),
    ]);
    expect(Object.fromEntries(ours)).toEqual(STANDARD);
  });
});
