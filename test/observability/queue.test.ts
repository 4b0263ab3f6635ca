import { expect, test } from 'vitest';
import { createQueue } from '#observability/queue.ts';

const item = (name: string, error = false) => ({ name, error });
const names = (items: readonly { readonly name: string }[]) => items.map(({ name }) => name);

test('a full queue keeps what was refused, drops what went well, and counts it', () => {
  const queue = createQueue<ReturnType<typeof item>>(3);
  for (const name of ['a', 'b', 'c', 'd']) queue.push(item(name));
  queue.push(item('denied', true));
  expect(queue.size()).toBe(3);
  expect(queue.dropped()).toBe(2);
  expect(names(queue.take(() => true))).toEqual(['denied', 'b', 'c']);
  expect(queue.size()).toBe(0);
});

test('a queue full of refusals grows no further', () => {
  const queue = createQueue<ReturnType<typeof item>>(2);
  for (const name of ['a', 'b', 'c']) queue.push(item(name, true));
  expect(names(queue.take(() => true))).toEqual(['a', 'b']);
  expect(queue.dropped()).toBe(1);
});

test('what does not fit stays, in order, however often one takes', () => {
  const queue = createQueue<ReturnType<typeof item>>(1000);
  for (let index = 0; index < 500; index += 1) queue.push(item(`${index}`, index % 7 === 0));
  const seen: string[] = [];
  while (queue.size() > 0) {
    let room = 9;
    seen.push(
      ...names(
        queue.take(() => {
          room -= 1;
          return room >= 0;
        }),
      ),
    );
  }
  expect(seen).toHaveLength(500);
  expect(new Set(seen).size).toBe(500);
  const fine = seen.map(Number).filter((index) => index % 7 !== 0);
  expect(fine).toEqual([...fine].sort((a, b) => a - b));
});
