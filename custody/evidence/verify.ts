import { refuse } from '#identity/outcome.ts';
import { evidenceLines, parseEvidenceLine } from './parse.ts';
import type { Trust } from './trust.ts';
import type { EvidenceVerdict } from './verdict.ts';
import { createEvidenceVerifier, type EvidenceVerifier } from './verifier.ts';

/** What is read at once: a text of it and its lines are held beside the bytes. */
const MAX_BYTES = 67_108_864;

/**
 * Judges an evidence file by what its reader pinned, and by nothing else: no network, no swarm, no
 * state, no "now". Any bytes may come. For files that are too large to hold, see `verifyChunks`.
 */
export function verifyEvidence(bytes: Uint8Array, trust: Trust): EvidenceVerdict {
  const verifier = createEvidenceVerifier(trust);
  if (bytes.length > MAX_BYTES) {
    verifier.malformed(
      refuse('EVIDENCE_TOO_LARGE', `more than ${MAX_BYTES} bytes are read in chunks only`),
    );
    return verifier.finish();
  }
  // Bytes that are not UTF-8 become U+FFFD, which is in no signed text, and fail there.
  const text = Buffer.from(bytes).toString('utf8');
  const lines = text.endsWith('\n') ? text.slice(0, -1) : text;
  let first = true;
  for (const line of lines.split('\n')) {
    if (!take(verifier, line, first)) break;
    first = false;
  }
  return verifier.finish();
}

/** As `verifyEvidence`, with no more in memory than a line and what entries have in common. */
export async function verifyChunks(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  trust: Trust,
): Promise<EvidenceVerdict> {
  const verifier = createEvidenceVerifier(trust);
  let first = true;
  for await (const line of evidenceLines(chunks)) {
    if (!take(verifier, line, first)) break;
    first = false;
  }
  if (first) take(verifier, '', true);
  return verifier.finish();
}

function take(verifier: EvidenceVerifier, line: string, first: boolean): boolean {
  const parts = parseEvidenceLine(line, first);
  if (!parts.ok) {
    verifier.malformed(parts);
    return false;
  }
  for (const part of parts.value) verifier.add(part);
  return true;
}
