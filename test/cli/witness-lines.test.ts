import { expect, test } from 'vitest';
import { witnessLine } from '#cli/story/witness-lines.ts';

const now = new Date('2026-01-01T00:00:30Z');
const at = (age: number): number => now.getTime() / 1000 - age;
const processes = (...states: readonly string[]) => [
  ...states.map((state, index) => ({ name: `witness-${index + 1}`, state })),
  { name: 'agent', state: 'ready' },
];
/** The text without colours. */
function draw(...given: Parameters<typeof witnessLine>) {
  const line = witnessLine(...given);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are control sequences
  return line.replace(/\u001b\[\d+m/g, '');
}

test('status says how far the log is witnessed, by how many, and how long ago', () => {
  const newest = { size: 1402, time: at(1) };
  expect(draw({ quorum: 2, newest }, processes('ready', 'ready', 'ready'), now)).toBe(
    'custody: 1402 entries cosigned by 2 witnesses 1 s ago, 3 of 3 ready',
  );
  expect(draw({ quorum: 2, newest }, processes('ready', 'backing-off', 'ready'), now)).toMatch(
    /, 2 of 3 ready$/,
  );
});

test('status says that nothing is witnessed, or not for long', () => {
  const alone = processes('ready', 'backing-off', 'backing-off');
  expect(draw({ quorum: 2 }, alone, now)).toBe(
    'custody: no checkpoint cosigned yet; witnesses: 1 ready, 2 needed',
  );
  const newest = { size: 1402, time: at(34) };
  expect(draw({ quorum: 2, newest }, alone, now)).toMatch(/ 34 s ago, 1 of 3 ready$/);
});
