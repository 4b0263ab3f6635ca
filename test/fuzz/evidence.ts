import { readFileSync } from 'node:fs';
import { formatEvidenceLine } from '#custody/evidence/format.ts';
import { parseEvidenceLine } from '#custody/evidence/parse.ts';
import { formatTrust, parseTrust } from '#custody/evidence/trust.ts';
import { openStatement, signStatement } from '#custody/log/statement.ts';
import { noteSigner } from '#test/custody/log/support.ts';
import type { Target } from './target.ts';

const VECTORS = new URL('../custody/vectors/evidence/', import.meta.url);
const vector = (name: string): Buffer => readFileSync(new URL(name, VECTORS));

function must(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

/** What a reader of evidence reads: whoever passes it on has changed it as they liked. */
export function evidenceTargets(): readonly Target[] {
  const attester = noteSigner('city.example/attester', 'note', 'fuzz');
  const lines = vector('range.jsonl').toString('utf8').trimEnd().split('\n');
  return [
    {
      name: 'evidence-line',
      seeds: lines.map((line) => Buffer.from(line)),
      check(input) {
        const line = Buffer.from(input).toString('utf8');
        for (const first of [true, false]) {
          const parts = parseEvidenceLine(line, first);
          if (!parts.ok || parts.value.length !== 1) continue;
          // One spelling: what is read is what would be written.
          const again = parts.value.map(formatEvidenceLine).join('');
          must(again === `${line}\n`, 'a line has two spellings');
        }
      },
    },
    {
      name: 'trust',
      seeds: [vector('trust.json'), vector('trust-issued.json'), vector('trust-rolled.json')],
      check(input) {
        const trust = parseTrust(Buffer.from(input).toString('utf8'));
        if (!trust.ok) return;
        const written = formatTrust(trust.value);
        const again = parseTrust(written);
        must(again.ok && formatTrust(again.value) === written, 'trust changes by writing');
      },
    },
    {
      name: 'statement',
      seeds: [
        signStatement({ kind: 'revocation', thumbprint: 'A'.repeat(43), reason: 'r' }, [attester]),
        signStatement(
          { kind: 'bundle', domain: 'city.example', sequence: 1, digest: 'A'.repeat(43) },
          [attester],
        ),
      ].map((note) => Buffer.from(note)),
      check(input) {
        const note = Buffer.from(input).toString('utf8');
        const read = openStatement(note, [attester.verifier], 1);
        // Ed25519 signs one text in one way: no other note says the same.
        if (read.ok)
          must(signStatement(read.value, [attester]) === note, 'a note has two spellings');
      },
    },
  ];
}
