import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseTrust } from '#custody/evidence/trust.ts';
import { verifyChunks, verifyEvidence } from '#custody/evidence/verify.ts';
import { buildEvidence } from './vectors/evidence-build.ts';
import type { VectorKeys } from './vectors/format.ts';

interface Judgement {
  readonly file: string;
  readonly trust: string;
  readonly overall: string;
  readonly codes: readonly string[];
  /** From the action back; absent where the file is about no action. */
  readonly hops?: readonly string[];
  readonly description: string;
}

const at = (path: string) => new URL(`vectors/${path}`, import.meta.url);
const jsonOf = (path: string) => JSON.parse(readFileSync(at(path), 'utf8'));
const { judgements } = jsonOf('judgements.json') as { judgements: readonly Judgement[] };
const files = readdirSync(at('evidence'));
const isTrust = (name: string) => name.startsWith('trust');

describe('vectors: evidence files, and what they must be judged as', () => {
  it('are all judged, by every trust file', () => {
    const named = (names: readonly string[]) => [...new Set(names)].sort();
    const [evidence, trusts] = [files.filter((name) => !isTrust(name)), files.filter(isTrust)];
    expect(named(judgements.map(({ file }) => file))).toEqual(evidence.sort());
    expect(named(judgements.map(({ trust }) => trust))).toEqual(trusts.sort());
  });

  it.each(judgements)('$file by $trust: $overall', async (expected) => {
    const trust = parseTrust(readFileSync(at(`evidence/${expected.trust}`), 'utf8'));
    if (!trust.ok) throw new Error(trust.detail);
    const bytes = readFileSync(at(`evidence/${expected.file}`));
    const chunks = [bytes.subarray(0, 999), bytes.subarray(999)];
    for (const verdict of [
      verifyEvidence(bytes, trust.value),
      await verifyChunks(chunks, trust.value),
    ]) {
      const codes = [...new Set(verdict.faults.map(({ code }) => code))].sort();
      const hops = verdict.ancestry?.hops.map((hop) => hop.verdict);
      const { overall } = verdict;
      const { file, trust: by, description } = expected;
      expect({ file, trust: by, overall, codes, ...(hops && { hops }), description }).toEqual(
        expected,
      );
    }
  });

  it('are made again from their keys as they are', () => {
    const signatures = jsonOf('evidence-signatures.json');
    const keys: VectorKeys = { ...jsonOf('keys.json'), signatures };
    for (const [name, text] of buildEvidence(keys).files) {
      expect([name, readFileSync(at(`evidence/${name}`), 'utf8')]).toEqual([name, text]);
    }
  });
});
