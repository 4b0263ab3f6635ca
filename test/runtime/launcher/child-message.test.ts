import { describe, expect, test } from 'vitest';
import { parseFromChild } from '#runtime/launcher/child-message.ts';

const parse = (message: unknown) => parseFromChild(JSON.stringify(message));

describe('an alarm on the channel of a process', () => {
  const alarm = { type: 'alarm', code: 'ACK_MISSING', detail: 'one' };

  test.each([alarm, { ...alarm, about: 'analyzer-1' }, { ...alarm, about: 'a', over: true }])(
    'is read: %j',
    (message) => expect(parse(message)).toEqual(message),
  );

  test.each([
    { ...alarm, code: 'not a code' },
    { ...alarm, detail: 1 },
    { ...alarm, about: '' },
    { ...alarm, about: 'a b' },
    { ...alarm, about: '\u001b[2J' },
    { ...alarm, about: 'x'.repeat(65) },
    { ...alarm, about: 7 },
    { ...alarm, over: false },
    { ...alarm, over: 'yes' },
  ])('is none: %j', (message) => expect(parse(message)).toBeUndefined());

  test('has a detail that writes nothing on a terminal', () => {
    const read = parse({ ...alarm, detail: 'a\u001b[2Jb\nc' });
    expect(read).toMatchObject({ type: 'alarm' });
    expect(JSON.stringify(read)).not.toMatch(/\\u001b|\\n/);
  });
});
