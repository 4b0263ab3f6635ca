import { type EvidencePart, formatEvidence } from '#custody/evidence/format.ts';
import { parseEvidenceLine } from '#custody/evidence/parse.ts';
import { UserError } from '../output.ts';

/** The lines of an action as one document, which is easier to pass on and to read by other tools. */
export function documentOf(lines: readonly string[]): string {
  const parts: EvidencePart[] = [];
  for (const [index, line] of lines.entries()) {
    const parsed = parseEvidenceLine(line.trimEnd(), index === 0);
    if (!parsed.ok) throw new UserError(`the swarm sent what is no evidence: ${parsed.detail}`);
    parts.push(...parsed.value);
  }
  return formatEvidence(parts);
}
