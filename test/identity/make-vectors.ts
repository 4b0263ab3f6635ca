/**
 * Writes `vectors/*.json`: `node test/identity/make-vectors.ts`. The clock is fixed, the keys are
 * new on each run and are not kept. Honest certificates come from a library that the verifier does
 * not use; what no library writes is edited in DER and signed again.
 */
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { type Issued, NOW } from './support/authority.ts';
import type { Case } from './support/case.ts';
import { leafVectors } from './support/cases-leaf.ts';
import { malformedVectors } from './support/cases-malformed.ts';
import { pathVectors } from './support/cases-path.ts';
import { VECTOR_FOLDER, type Vector } from './support/vectors.ts';

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

const cases = [...(await leafVectors()), ...(await pathVectors()), ...(await malformedVectors())];
const vectors = cases.map(toVector);
const names = new Set(vectors.map(({ name }) => name));
if (names.size !== vectors.length) throw new Error('two vectors have one name');

mkdirSync(VECTOR_FOLDER, { recursive: true });
for (const file of readdirSync(VECTOR_FOLDER)) rmSync(new URL(file, VECTOR_FOLDER));
for (const vector of vectors) {
  writeFileSync(
    new URL(`${vector.name}.json`, VECTOR_FOLDER),
    `${JSON.stringify(vector, null, 2)}\n`,
  );
}
process.stdout.write(`${vectors.length} vectors\n`);
