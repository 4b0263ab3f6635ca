import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { parseTrust } from '#custody/evidence/trust.ts';
import { verifyEvidence } from '#custody/evidence/verify.ts';

const folder = new URL('vectors/evidence/', import.meta.url);
const trust = parseTrust(readFileSync(new URL('trust.json', folder), 'utf8'));
const { judgements } = JSON.parse(
  readFileSync(new URL('vectors/judgements.json', import.meta.url), 'utf8'),
) as { judgements: Record<string, { overall: string; codes: string[]; hops: string[] }> };

describe('vectors: evidence files, and what they must be judged as', () => {
  it('are all judged', () => {
    const files = readdirSync(folder).filter((name) => name !== 'trust.json');
    expect(Object.keys(judgements).sort()).toEqual(files.sort());
  });

  it.each(Object.entries(judgements))('%s', (name, expected) => {
    if (!trust.ok) throw new Error(trust.detail);
    const verdict = verifyEvidence(readFileSync(new URL(name, folder)), trust.value);
    const codes = [...new Set(verdict.faults.map(({ code }) => code))].sort();
    const hops = verdict.ancestry?.hops.map((hop) => hop.verdict);
    expect({ overall: verdict.overall, codes, hops }).toEqual(expected);
  });
});
