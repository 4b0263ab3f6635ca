import {
  appendFileSync,
  mkdtempSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startLoop } from '#agents/loop.ts';
import { createSensor } from '#agents/roles/index.ts';
import { openSource, sourceSchema } from '#agents/sources/index.ts';
import type { Source, SourceItem } from '#agents/sources/source.ts';
import type { RecordId } from '#custody/record.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'follow-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
const row = (value: number) => `{"timestamp":"2026-01-05T08:00:00Z","value":${value}}\n`;
function feed(content: string): string {
  files += 1;
  const path = join(folder, `feed-${files}.ndjson`);
  writeFileSync(path, content);
  return path;
}
async function follow(path: string): Promise<Source> {
  const opened = await openSource(sourceSchema.parse({ kind: 'ndjson', path, follow: true }));
  if (!opened.ok) throw new Error(`${opened.code}: ${opened.detail}`);
  return opened.value;
}
async function next(source: Source): Promise<SourceItem> {
  const { value } = await source.items.next();
  if (value === undefined) throw new Error('the source has ended');
  return value;
}

describe('a followed file', () => {
  test('is read on at its end; a line counts when it is whole, and rows count on', async () => {
    const path = feed(row(1));
    const source = await follow(path);
    expect(await next(source)).toMatchObject({ kind: 'value', row: 1, value: 1 });
    const second = next(source);
    const [head, tail] = [row(2).slice(0, 20), row(2).slice(20)];
    appendFileSync(path, head);
    appendFileSync(path, tail + row(3));
    expect(await second).toMatchObject({ row: 2, value: 2 });
    expect(await next(source)).toMatchObject({ row: 3, value: 3 });
    const broken = next(source);
    appendFileSync(path, 'no JSON\n');
    expect(await broken).toMatchObject({ kind: 'malformed', row: 4, code: 'ROW_UNPARSABLE' });
    source.end?.();
    expect(await source.items.next()).toMatchObject({ done: true });
    await source.close();
  });

  test('keeps its name while it grows, so that a row has one id over restarts', async () => {
    const path = feed(row(1));
    const first = await follow(path);
    appendFileSync(path, row(2));
    const second = await follow(path);
    expect(second.name).toBe(first.name);
    const other = await follow(feed(row(9)));
    expect(other.name).not.toBe(first.name);
    for (const source of [first, second, other]) await source.close();
  });

  test.each([
    ['cut', (path: string) => truncateSync(path, 3)],
    [
      'replaced',
      (path: string) => {
        writeFileSync(`${path}.new`, row(7) + row(8) + row(9));
        renameSync(`${path}.new`, path);
      },
    ],
  ])('that is %s ends with a report: its rows would pass for others', async (how, change) => {
    const path = feed(row(1) + row(2));
    const source = await follow(path);
    await next(source);
    await next(source);
    const last = next(source);
    change(path);
    const { kind, detail } = (await last) as Extract<SourceItem, { kind: 'broken' }>;
    expect({ kind, detail }).toEqual({
      kind: 'broken',
      detail: `the file was ${how} after line 2; start the sensor again`,
    });
    expect(await source.items.next()).toMatchObject({ done: true });
    await source.close();
  });

  test('without a whole first line is refused; other files still end', async () => {
    for (const content of ['', '{"timestamp":']) {
      const path = feed(content);
      const opened = await openSource(sourceSchema.parse({ kind: 'ndjson', path, follow: true }));
      expect(opened).toMatchObject({ ok: false, code: 'SOURCE_EMPTY' });
    }
    const plain = await openSource(sourceSchema.parse({ kind: 'ndjson', path: feed(row(1)) }));
    if (!plain.ok) throw new Error(plain.detail);
    const items: SourceItem[] = [];
    for await (const item of plain.value.items) items.push(item);
    expect(items).toHaveLength(1);
    await plain.value.close();
  });

  test('ends with the loop that reads it, also while it waits for more', async () => {
    const source = await follow(feed(row(1)));
    const sent: unknown[] = [];
    const first = Promise.withResolvers<void>();
    const loop = startLoop({
      role: createSensor({ self: 'sensor-cam-1', measure: 'speed' }),
      source,
      concurrency: 1,
      consumes: [],
      audience: { reading: ['spiffe://city.example/agent/analyzer/north/*'] },
      onNote: () => {},
      bus: {
        send: async (message) => {
          sent.push(message);
          first.resolve();
          return 'x'.repeat(43) as RecordId;
        },
        consume: () => ({ close: async () => {} }),
        request: async () => ({ ok: false, code: 'REQUEST_CLOSED', detail: '' }),
        flush: async () => {},
      },
    });
    await first.promise;
    await loop.stop(60_000);
    expect(sent).toHaveLength(1);
    expect(loop.status()).toMatchObject({ phase: 'stopped', acknowledged: 1 });
  });
});
