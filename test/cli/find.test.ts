import { expect, test } from 'vitest';
import type { SwarmClient } from '#cli/story/client.ts';
import { findRecord } from '#cli/story/find.ts';
import type { RecordId } from '#custody/record.ts';

const ids = ['--', '-o', '-A', 'Ab'].map((start) => start.padEnd(43, 'x') as RecordId);
const client = {
  find: async (prefix: string) => ids.filter((id) => id.startsWith(prefix)),
} as unknown as SwarmClient;

test.each(ids)('a record is found whatever its id begins with: %s', async (id) => {
  expect(await findRecord(client, id)).toBe(id);
  expect(await findRecord(client, id.slice(0, 8))).toBe(id);
});

test.each([
  ['--nonsense', "unknown option '--nonsense'"],
  ['--limit=5', "unknown option '--limit=5'"],
  [`--${'x'.repeat(60)}`, 'unknown option'],
  ['-zzzzzz', 'no record starts with -zzzzzz'],
  ['-z', 'is too short'],
  ['a b', 'is no record id'],
])('%s is none, and is said to be what it is', async (given, why) => {
  await expect(findRecord(client, given)).rejects.toThrow(why);
});
