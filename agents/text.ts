/**
 * Characters that a terminal, a log or a reader's eye would obey instead of show: C0 and C1
 * controls, line and paragraph separators, zero-width and bidirectional controls, tags, the byte
 * order mark, lone surrogates.
 */
const ACTIVE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}]/gu;

function spelled(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  return `\\u{${code.toString(16)}}`;
}

/** Bounded, inert foreign text: at most `limit` UTF-16 units, active characters spelled out. */
export function inert(text: string, limit: number): string {
  // Cut before escaping, so that a hostile megabyte costs no more than the limit.
  const cut = text.slice(0, limit);
  const safe = cut.replace(ACTIVE, spelled);
  if (safe.length <= limit && text.length <= limit) return safe;
  return `${safe.slice(0, Math.max(0, limit - 1))}…`;
}
