import { refuse } from '#identity/outcome.ts';
import type { EvidencePart } from './format.ts';
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
export function verifyEvidence(bytes: Uint8Array, trust?: Trust): EvidenceVerdict {
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

/** Parts whose signatures are verified on other threads while the next ones are read. */
const GROUP = 64;

/**
 * As `verifyEvidence`, with no more in memory than a few hundred lines and what entries have in
 * common. `each` is shown every part in order, before it is judged: what it says is unproven.
 */
export async function verifyChunks(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  trust?: Trust,
  each: (part: EvidencePart) => void = () => {},
): Promise<EvidenceVerdict> {
  const verifier = createEvidenceVerifier(trust);
  let group: EvidencePart[] = [];
  let waiting = { parts: [] as EvidencePart[], ready: Promise.resolve() };

  /** The group before this one is judged while this one's signatures are on their way. */
  async function turn(): Promise<void> {
    const { parts, ready } = waiting;
    waiting = { parts: group, ready: verifier.ahead(group) };
    group = [];
    await ready;
    for (const part of parts) verifier.add(part);
  }

  let first = true;
  for await (const line of evidenceLines(chunks)) {
    const parts = parseEvidenceLine(line, first);
    first = false;
    if (!parts.ok) {
      await turn();
      await turn();
      verifier.malformed(parts);
      return verifier.finish();
    }
    for (const part of parts.value) {
      each(part);
      group.push(part);
      if (group.length >= GROUP) await turn();
    }
  }
  await turn();
  await turn();
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
