/**
 * Writes `test/vectors/spiffe/`: `node test/identity/make-vectors.ts [x509-svid|jwt-svid|spiffe-id|bundle …]`,
 * all of them when none is named. The clock is fixed, the keys are new on each run and are not kept.
 * Honest certificates come from a library that the verifier does not use; what no library writes is
 * edited in DER and signed again.
 */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { type Issued, NOW } from './support/authority.ts';
import type { Case } from './support/case.ts';
import { bundleCases } from './support/cases-bundle.ts';
import { idCases } from './support/cases-id.ts';
import { jwtCases } from './support/cases-jwt.ts';
import { leafVectors } from './support/cases-leaf.ts';
import { malformedVectors } from './support/cases-malformed.ts';
import { pathVectors } from './support/cases-path.ts';
import { vectorBundles, vectorKeys } from './support/jwt-keys.ts';
import { VECTOR_FOLDER, type Vector, X509_FOLDER } from './support/vectors.ts';

function encode(issued: Issued | Uint8Array): string {
  return Buffer.from('der' in issued ? issued.der : issued).toString('base64');
}

function toVector(entry: Case): Vector {
  return {
    name: `${entry.expected}.${entry.what}`,
    clause: entry.clause,
    expected: entry.expected,
    ...(entry.openssl && { openssl: entry.openssl }),
    now: (entry.now ?? NOW).toISOString(),
    chain: entry.chain.map(encode),
    bundles: Object.fromEntries(
      Object.entries(entry.bundles).map(([domain, roots]) => [domain, roots.map(encode)]),
    ),
    ...(entry.id !== undefined && { id: entry.id }),
  };
}

function write(path: URL, value: object): void {
  writeFileSync(path, `${JSON.stringify(value, null, 2)}\n`);
}

/** Names are what other implementations list their exceptions by. */
function named<T extends { expected: string; what: string }>(cases: readonly T[]) {
  const vectors = cases.map(({ what, ...rest }) => ({ name: `${rest.expected}.${what}`, ...rest }));
  if (new Set(vectors.map(({ name }) => name)).size !== vectors.length) {
    throw new Error('two vectors have one name');
  }
  return vectors;
}

/** One file, one vector a line. */
function writeList(file: string, head: object, vectors: readonly object[]): number {
  const lines = vectors.map((vector) => `    ${JSON.stringify(vector)}`).join(',\n');
  const open = JSON.stringify({ ...head, vectors: [] }, null, 2).replace(
    '"vectors": []',
    () => `"vectors": [\n${lines}\n  ]`,
  );
  writeFileSync(new URL(file, VECTOR_FOLDER), `${open}\n`);
  return vectors.length;
}

const KINDS: Readonly<Record<string, () => Promise<number>>> = {
  async 'x509-svid'() {
    const cases = [
      ...(await leafVectors()),
      ...(await pathVectors()),
      ...(await malformedVectors()),
    ];
    named(cases);
    mkdirSync(X509_FOLDER, { recursive: true });
    for (const file of readdirSync(X509_FOLDER)) rmSync(new URL(file, X509_FOLDER));
    for (const vector of cases.map(toVector)) {
      write(new URL(`${vector.name}.json`, X509_FOLDER), vector);
    }
    return cases.length;
  },
  async 'jwt-svid'() {
    const keys = vectorKeys();
    const head = {
      now: NOW.toISOString(),
      leeway: 0,
      audience: 'reports',
      bundles: vectorBundles(keys),
    };
    return writeList('jwt-svid.json', head, named(jwtCases(keys)));
  },
  async 'spiffe-id'() {
    const cases = named(idCases()).map(({ bytes, ...rest }) => ({
      ...rest,
      hex: bytes.toString('hex'),
    }));
    return writeList('spiffe-id.json', {}, cases);
  },
  async bundle() {
    return writeList('bundle.json', { trustDomain: 'city.example' }, named(await bundleCases()));
  },
};

const wanted = process.argv.slice(2);
for (const kind of wanted.length > 0 ? wanted : Object.keys(KINDS)) {
  const make = KINDS[kind];
  if (make === undefined) throw new Error(`${kind} is none of ${Object.keys(KINDS).join(', ')}`);
  process.stdout.write(`${kind}: ${await make()} vectors\n`);
}
