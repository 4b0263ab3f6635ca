/** As many characters of a detail as a person reads; who sends it decides how long it is. */
export const DETAIL_CHARACTERS = 300;
/** Of one name within a detail, so that what is wrong with it is still said. */
const NAME_CHARACTERS = 100;

function cut(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}

/**
 * A detail for people and logs. It holds words of strangers, such as the path of their program: uncut
 * it was once too long for the launcher to read, and took its identity from the whole swarm.
 */
export function shownDetail(detail: string): string {
  return cut(detail, DETAIL_CHARACTERS);
}

/** A foreign name within a detail. */
export function shownName(name: string): string {
  return cut(name, NAME_CHARACTERS);
}
