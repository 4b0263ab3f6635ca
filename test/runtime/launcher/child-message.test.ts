import { expect, test } from 'vitest';
import { parseFromChild } from '#runtime/launcher/child-message.ts';
import type { FromChild } from '#runtime/process-protocol.ts';

const good: readonly FromChild[] = [
  { type: 'ready' },
  { type: 'quarantined', detail: 'no entry' },
  { type: 'refused', code: 'GATE_SVID_INVALID', detail: 'why' },
  { type: 'status', status: { size: 1 } },
  { type: 'fatal', detail: 'why' },
  { type: 'entered', note: 'a note', index: 0 },
  { type: 'witness', vkey: 'a+b+c' },
  { type: 'cosigned', size: 5, time: 1 },
  { type: 'alarm', code: 'WITNESS_FORK', detail: 'why' },
  { type: 'spans', spans: [], dropped: 0 },
];

test('what a process may say is read, and nothing that lacks a part or has one of another form', () => {
  for (const message of good) {
    expect(parseFromChild(JSON.stringify(message))).toEqual(message);
    for (const member of Object.keys(message)) {
      for (const wrong of [undefined, null, -1, 1.5, 'lower case', [1]]) {
        const bad = { ...message, [member]: wrong };
        const read = parseFromChild(JSON.stringify(bad));
        // Free text takes any text, and a list of its own words any list.
        const free = ['detail', 'note', 'vkey'].includes(member) && typeof wrong === 'string';
        const list = ['spans', 'status'].includes(member) && Array.isArray(wrong);
        const negative = member === 'dropped' && wrong === -1;
        if (!free && !list && !negative) expect(read, JSON.stringify(bad)).toBeUndefined();
      }
    }
  }
  for (const line of ['', '{', 'null', '[]', '"ready"', '{"type":"other"}', '{"type":["ready"]}']) {
    expect(parseFromChild(line)).toBeUndefined();
  }
});

test('what it says for a person has nothing in it that a terminal would obey', () => {
  const alarm = { type: 'alarm', code: 'WITNESS_FORK', detail: 'a\u001b[2Jb' };
  expect(parseFromChild(JSON.stringify(alarm))).toMatchObject({ detail: 'a?[2Jb' });
});
