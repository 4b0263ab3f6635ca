import { type EvidencePart, formatEvidence } from '#custody/evidence/format.ts';
import { parseEvidenceLine } from '#custody/evidence/parse.ts';
import { sizeOfCheckpoint } from '#custody/evidence/write.ts';
import { leafText } from '#custody/ledger/leaf.ts';
import { formatTlogProof } from '#custody/log/tlog-proof.ts';
import type { RecordId } from '#custody/record.ts';
import { UserError } from '../output.ts';

function partsOf(lines: readonly string[]): readonly EvidencePart[] {
  const parts: EvidencePart[] = [];
  for (const [index, line] of lines.entries()) {
    const parsed = parseEvidenceLine(line.trimEnd(), index === 0);
    if (!parsed.ok) throw new UserError(`the swarm sent what is no evidence: ${parsed.detail}`);
    parts.push(...parsed.value);
  }
  return parts;
}

/** The lines of an action as one document, which is easier to pass on and to read by other tools. */
export function documentOf(lines: readonly string[]): string {
  return formatEvidence(partsOf(lines));
}

/**
 * That one record is in the ledger, as c2sp.org/tlog-proof; `undefined` while no checkpoint covers
 * it. The leaf has the record, and not what the record said.
 */
export function tlogProofOf(lines: readonly string[], id: RecordId): string | undefined {
  const parts = partsOf(lines);
  const part = parts.find(
    (one) => one.kind === 'entry' && one.entry.id === id && one.entry.leaf.type === 'record',
  );
  if (part?.kind !== 'entry') return undefined;
  const { leaf, size, path } = part.entry;
  for (const one of parts) {
    if (one.kind !== 'checkpoint' || sizeOfCheckpoint(one.checkpoint.note) !== size) continue;
    const text = Buffer.from(leafText(leaf), 'utf8');
    const checkpoint = one.checkpoint.note;
    return formatTlogProof({ leaf: text, index: leaf.index, path, checkpoint });
  }
  return undefined;
}
