import { expect, test } from 'vitest';
import type { Connection } from '#identity/issuer/connections.ts';
import { leastEntitled } from '#identity/issuer/room.ts';
import { accept, refuse } from '#identity/outcome.ts';

let count = 0;
function connection(uid: number, pid: number, attested = false): Connection {
  const exe = { path: '/bin/one', dev: '1', ino: '1', ctime: '1' };
  const facts = { pid, uid, gid: uid, startTime: 1, exe };
  const peer = accept({ ...facts, check: () => accept(true as const), close: () => {} });
  count += 1;
  return { peer, acceptedAt: count, streams: 0, attested, drop: () => {} };
}

test('the oldest without an identity makes room, and never one that has one', () => {
  const [one, two, three] = [connection(1, 1, true), connection(1, 2), connection(1, 3)];
  expect(leastEntitled([one, two, three])).toBe(two);
  expect(leastEntitled([one])).toBeUndefined();
  expect(leastEntitled([])).toBeUndefined();
});

test('the process that holds most makes room before one that holds a single connection', () => {
  const honest = connection(1, 1);
  const holder = [connection(1, 2), connection(1, 2)];
  expect(leastEntitled([honest, ...holder])).toBe(holder[0]);
});

test('the user that holds most makes room, however many processes it starts', () => {
  const others = [connection(1, 1), connection(1, 1)];
  const crowd = [connection(2, 2), connection(2, 3), connection(2, 4)];
  expect(leastEntitled([...others, ...crowd])).toBe(crowd[0]);
});

test('whom the kernel did not name is one holder more', () => {
  const peer = refuse('PEER_UNREADABLE', 'nobody');
  const unknown = [1, 2].map(() => ({ ...connection(1, 1), peer }));
  expect(leastEntitled([connection(1, 1), ...unknown])).toBe(unknown[0]);
});
