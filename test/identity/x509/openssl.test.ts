import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { bundlesOf, chainOf, readVectors, type Vector } from '../support/vectors.ts';

const present = spawnSync('openssl', ['version']).status === 0;
const folder = mkdtempSync(join(tmpdir(), 'swarmproof-openssl-'));
afterAll(() => rmSync(folder, { recursive: true }));

function pem(der: Uint8Array): string {
  const body = Buffer.from(der)
    .toString('base64')
    .replace(/(.{64})(?=.)/g, '$1\n');
  return `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n`;
}

/** Path validation by a program that shares no line with ours, at the vector's time. */
function opensslSays(vector: Vector): string {
  const file = (name: string, ders: readonly Uint8Array[]) => {
    const path = join(folder, `${vector.name}.${name}.pem`);
    writeFileSync(path, ders.map(pem).join(''));
    return path;
  };
  const [leaf, ...others] = chainOf(vector);
  // The bundle of the domain that the vector is about, as the verifier takes it.
  const domain = new URL(vector.id ?? 'spiffe://city.example/').host;
  const authorities = bundlesOf(vector).get(domain)?.authorities ?? [];
  const result = spawnSync('openssl', [
    'verify',
    '-x509_strict',
    '-partial_chain',
    '-no-CApath',
    '-no-CAstore',
    '-attime',
    String(Date.parse(vector.now) / 1000),
    '-CAfile',
    file(
      'roots',
      authorities.map(({ raw }) => raw),
    ),
    ...(others.length > 0 ? ['-untrusted', file('others', others)] : []),
    file('leaf', leaf === undefined ? [] : [leaf]),
  ]);
  if (result.status === 0) return 'accepts';
  // 2: a certificate was refused; anything else is no verdict at all.
  return result.status === 2 ? 'rejects' : `${result.status}: ${result.error} ${result.stderr}`;
}

describe('openssl verify -x509_strict agrees (X-09, XV-01)', () => {
  const cited = readVectors().filter(({ openssl }) => openssl !== undefined);
  test.for(cited)('$openssl $name', (vector, { skip }) => {
    skip(!present, 'there is no openssl on the PATH');
    expect(opensslSays(vector)).toBe(vector.openssl);
  });
});
