import { expect, test } from 'vitest';
import { createOutbox, type SpanMessage } from '#observability/outbox.ts';
import { wireSpan } from './spans.ts';

function channel() {
  const sent: SpanMessage[] = [];
  const written: (() => void)[] = [];
  const outbox = createOutbox((message, done) => {
    sent.push(message);
    written.push(done);
    return true;
  });
  return { outbox, sent, written };
}

test('a supervisor that does not read costs spans, never memory, and nothing waits for it', async () => {
  const { outbox, sent, written } = channel();
  for (let index = 0; index < 20_000; index += 1) outbox.add(wireSpan(index));
  outbox.add(wireSpan(20_001, { error: true }));
  // One message is under way; the rest waits in a bounded queue.
  expect(sent).toHaveLength(1);
  await outbox.flush(1);
  expect(sent).toHaveLength(1);
  while (written.length > 0) written.shift()?.();
  const drained = outbox.flush(10_000);
  while (written.length > 0) written.shift()?.();
  await drained;
  const all = sent.flatMap(({ spans }) => spans);
  const dropped = sent.at(-1)?.dropped ?? 0;
  expect(all.length + dropped).toBe(20_001);
  expect(all.length).toBeLessThan(5000);
  expect(all.filter(({ error }) => error)).toHaveLength(1);
  outbox.close();
});

test('no message is longer than the launcher takes', async () => {
  const { outbox, sent, written } = channel();
  const links = Array.from({ length: 32 }, (_, index) => ({
    trace: 'c'.repeat(32),
    span: (index + 1).toString(16).padStart(16, '0'),
    attributes: { 'custody.record.id': 'x'.repeat(43) },
  }));
  for (let index = 0; index < 3000; index += 1) outbox.add(wireSpan(index, { links }));
  const drained = outbox.flush(10_000);
  while (written.length > 0) written.shift()?.();
  await drained;
  expect(sent.flatMap(({ spans }) => spans)).toHaveLength(3000);
  for (const message of sent) expect(JSON.stringify(message).length).toBeLessThan(200 * 1024);
  outbox.close();
});

test('a channel that is closed ends the wait', async () => {
  const outbox = createOutbox(() => false);
  outbox.add(wireSpan(1));
  await outbox.flush(60_000);
  outbox.close();
});
