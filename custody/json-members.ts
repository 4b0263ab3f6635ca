/** A JSON string; between these only structure is left. */
const STRING = /"(?:[^"\\]+|\\.)*"/g;
const COLON = /:/g;

/**
 * Does an object in this JSON name a member twice? `JSON.parse` keeps the last one in silence, another
 * reader the first, and whoever reads the file sees both. For files that people write; where a text has
 * one spelling, comparing it with its canonical form says more.
 * @param text JSON
 * @param value what `JSON.parse` made of it
 */
export function repeatsMember(text: string, value: unknown): boolean {
  // Outside of strings, each member has a colon, and nothing else has.
  const written = text.replace(STRING, '').match(COLON)?.length ?? 0;
  return written !== membersOf(value);
}

function membersOf(value: unknown): number {
  let count = 0;
  const open = [value];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    if (typeof next !== 'object' || next === null) continue;
    const inside = Object.values(next);
    if (!Array.isArray(next)) count += inside.length;
    for (const one of inside) open.push(one);
  }
  return count;
}
