const WIDTH = 80;
/** Where the text of a row begins. */
const LABEL = 14;

/**
 * `label   text` in 80 columns; what does not fit goes on below, as far in as it began. A word that is
 * too long for a line is cut.
 */
export function row(
  label: string,
  text: string,
  colour: (text: string) => string = (same) => same,
): string[] {
  const room = WIDTH - LABEL;
  const indent = /^ */.exec(text)?.[0] ?? '';
  const lines: string[] = [];
  for (const word of text.trimStart().split(' ')) {
    const last = lines.at(-1);
    const fits = room - indent.length;
    const short = word.length <= fits ? word : `${word.slice(0, fits - 1)}…`;
    if (last !== undefined && last.length + 1 + short.length <= fits) {
      lines[lines.length - 1] = `${last} ${short}`;
    } else lines.push(short);
  }
  const head = colour(label.padEnd(LABEL));
  return lines.map((line, at) => `${at === 0 ? head : ' '.repeat(LABEL)}${indent}${line}`);
}

/** `3 records: 2 genuine, 1 forged`, without those of which there are none. */
export function counted(counts: Readonly<Record<string, number>>): string {
  return Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([name, count]) => `${count} ${name}`)
    .join(', ');
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
