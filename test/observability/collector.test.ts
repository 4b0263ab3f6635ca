import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { open } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, onTestFinished, test } from 'vitest';
import { type Collector, createCollector, type Sink } from '#observability/collector.ts';
import { createFileSink } from '#observability/sinks/file.ts';
import { createOtlpSink } from '#observability/sinks/otlp-http.ts';
import { counting, HOSTILE, httpCollector } from './collectors.ts';
import { ANALYZER, exported, recordId, SENSOR, wireSpan } from './spans.ts';

const place = mkdtempSync(join(tmpdir(), 'sp-traces-'));
afterAll(() => rmSync(place, { recursive: true, force: true }));
let files = 0;
const newFile = (): string => {
  files += 1;
  return join(place, `traces-${files}.jsonl`);
};

const source = { process: 'analyzer-analyzer-1', pid: 7, role: 'analyzer', spiffeId: ANALYZER };

function collecting(...sinks: readonly Sink[]): Collector {
  return createCollector({ namespace: 'city', sinks, clock: () => performance.now() });
}

function give(collector: Collector, from: number, count: number): void {
  const spans = Array.from({ length: count }, (_, index) => wireSpan(from + index));
  collector.accept(source, { spans, dropped: 0 });
}

test('spans are written as OTLP, one request a line, under the process that they came from', async () => {
  const path = newFile();
  const collector = collecting(createFileSink({ path, onTrouble: () => {} }));
  give(collector, 0, 700);
  await collector.close();
  const spans = exported(path);
  expect(spans).toHaveLength(700);
  expect(spans[0]).toEqual({
    name: 'process {district}.reading.{sender}',
    traceId: 'a'.repeat(32),
    resource: {
      'service.name': 'analyzer',
      'service.namespace': 'city',
      'service.instance.id': 'analyzer-analyzer-1-7',
      'spiffe.id': ANALYZER,
    },
  });
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(collector.counts()).toMatchObject({ taken: 700, written: 700, dropped: 0, refused: 0 });
});

test('a process speaks for itself: spans in the name of another are refused, its own are taken', async () => {
  const path = newFile();
  const collector = collecting(createFileSink({ path, onTrouble: () => {} }));
  const own = wireSpan(1);
  const forged = wireSpan(2, { attributes: { ...own.attributes, 'spiffe.id': SENSOR } });
  collector.accept(source, { spans: [own, forged], dropped: 0 });
  const nobody = { ...source, process: 'sensor-x', spiffeId: undefined };
  collector.accept(nobody, { spans: [wireSpan(3), wireSpan(4, { attributes: {} })], dropped: 0 });
  await collector.close();
  expect(collector.counts()).toMatchObject({ taken: 2, refused: 2 });
  const [first, second] = exported(path);
  expect(first?.resource['spiffe.id']).toBe(ANALYZER);
  expect(second?.resource['spiffe.id']).toBeUndefined();
});

test('what is no span is counted and nothing else', async () => {
  const collector = collecting();
  const secret = 'sk-live-0123456789';
  const spans = [null, 3, secret, { name: secret }, wireSpan(1, { attributes: { note: secret } })];
  collector.accept(source, { spans, dropped: 5 });
  expect(collector.counts()).toMatchObject({ taken: 0, refused: 5, dropped: 5 });
  await collector.close();
});

test('a process that floods loses its own spans and nobody else’s', async () => {
  // All in one moment, however long that takes: a second would allow thousands more.
  const collector = createCollector({ namespace: 'city', sinks: [], clock: () => 0 });
  for (let index = 0; index < 200; index += 1) give(collector, index * 256, 256);
  const other = { ...source, process: 'sensor-cam-1', spiffeId: SENSOR };
  const attributes = { 'spiffe.id': SENSOR };
  collector.accept(other, { spans: [wireSpan(1, { attributes, error: true })], dropped: 0 });
  const { taken, dropped } = collector.counts();
  expect(taken).toBeLessThan(51_200);
  expect(dropped).toBeGreaterThan(40_000);
  expect(taken + dropped).toBeGreaterThanOrEqual(51_201);
  await collector.close();
});

test('a span is found by its record, and one that is still to come can be waited for', async () => {
  const collector = collecting();
  const id = recordId('w');
  const later = collector.wait(id, { timeoutMs: 10_000, fits: ({ error }) => error });
  const attributes = { 'custody.record.id': id };
  collector.accept(source, { spans: [wireSpan(1, { attributes })], dropped: 0 });
  collector.accept(source, { spans: [wireSpan(2, { attributes, error: true })], dropped: 0 });
  expect(await later).toMatchObject({ error: true, spanId: '0000000000000003' });
  expect(collector.find(id).map(({ error }) => error)).toEqual([true, false]);
  expect(await collector.wait(recordId('n'), { timeoutMs: 1 })).toBeUndefined();
  // Another process may say what it likes of the record: it says so in its own name.
  const other = { ...source, process: 'sensor-cam-1', spiffeId: undefined };
  const claims = Array.from({ length: 100 }, (_, index) =>
    wireSpan(index, { attributes, error: true }),
  );
  collector.accept(other, { spans: claims, dropped: -1 });
  const third = wireSpan(200, { attributes, error: true });
  collector.accept(source, { spans: [third], dropped: 0 });
  const genuine = collector.find(id).filter(({ process }) => process === source.process);
  expect(genuine.map(({ spanId }) => spanId)).toContain(third.span);
  expect(collector.find(id).length).toBeLessThan(10);
  await collector.close();
});

describe('the file', () => {
  test('beyond its size becomes the predecessor; two files at most', async () => {
    const path = newFile();
    const sink = createFileSink({ path, maxBytes: 3000, onTrouble: () => {} });
    const request = Buffer.from(JSON.stringify({ resourceSpans: [], pad: 'x'.repeat(900) }));
    for (let index = 0; index < 20; index += 1) await sink.write(request, 1);
    await sink.close();
    expect(statSync(path).size).toBeLessThanOrEqual(3000);
    expect(statSync(`${path}.1`).size).toBeLessThanOrEqual(3000);
    for (const line of readFileSync(path, 'utf8').trimEnd().split('\n')) JSON.parse(line);
  });

  test('of the run before is the predecessor of this run’s', async () => {
    const path = newFile();
    writeFileSync(path, 'before\n');
    const sink = createFileSink({ path, onTrouble: () => {} });
    await sink.write(Buffer.from('{}'), 1);
    await sink.close();
    expect(readFileSync(path, 'utf8')).toBe('{}\n');
    expect(readFileSync(`${path}.1`, 'utf8')).toBe('before\n');
  });

  test.each([
    ['a folder that is not there', () => join(place, 'missing', 'traces.jsonl')],
    [
      'a folder in its place',
      () => {
        const path = newFile();
        mkdirSync(join(path, 'x'), { recursive: true });
        mkdirSync(join(`${path}.1`, 'x'), { recursive: true });
        return path;
      },
    ],
  ])('%s costs the spans, which are counted, and is said once', async (_what, pathOf) => {
    const said: string[] = [];
    const collector = collecting(
      createFileSink({ path: pathOf(), onTrouble: (line) => said.push(line) }),
    );
    give(collector, 0, 1200);
    await collector.close();
    expect(collector.counts().lost).toEqual({ file: 1200 });
    expect(said).toHaveLength(1);
    expect(said[0]).toMatch(/^traces are not written: E[A-Z]+ at /);
  });

  test.runIf(existsSync('/dev/full'))(
    'a full disk costs the spans, which are counted',
    async () => {
      const sink = createFileSink({
        path: newFile(),
        open: () => open('/dev/full', 'w'),
        onTrouble: () => {},
      });
      await sink.write(Buffer.from('{}'), 3);
      await sink.write(Buffer.from('{}'), 4);
      await sink.close();
      expect(sink.lost()).toBe(7);
    },
  );

  test.skipIf(process.getuid?.() === 0)('a folder that may not be written', async () => {
    const folder = join(place, 'read-only');
    mkdirSync(folder);
    chmodSync(folder, 0o500);
    const sink = createFileSink({ path: join(folder, 'traces.jsonl'), onTrouble: () => {} });
    await sink.write(Buffer.from('{}'), 1);
    expect(sink.lost()).toBe(1);
    await sink.close();
  });
});

describe('a collector elsewhere', () => {
  test('gets the same requests as the file, with its headers, as OTLP/HTTP with JSON', async () => {
    const seen: unknown[] = [];
    const there = await httpCollector((request, response) => {
      const { 'content-type': type, authorization } = request.headers;
      seen.push([request.method, request.url, type, authorization]);
      response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
    });
    onTestFinished(() => there.close());
    const path = newFile();
    const { fetch, answers } = counting();
    const otlp = createOtlpSink({
      url: there.url,
      headers: { authorization: 'Bearer t' },
      timeoutMs: 30_000,
      fetch,
      onTrouble: () => {},
    });
    const collector = collecting(createFileSink({ path, onTrouble: () => {} }), otlp);
    give(collector, 0, 600);
    await expect.poll(answers).toBe(2);
    await collector.close();
    expect(seen[0]).toEqual(['POST', '/v1/traces', 'application/json', 'Bearer t']);
    expect(`${there.received.join('\n')}\n`).toBe(readFileSync(path, 'utf8'));
    expect(collector.counts().lost).toEqual({ file: 0, otlp: 0 });
  });

  test.each(HOSTILE)(
    '%s: the file is whole, and closing waits no longer than its time',
    async (_what, open) => {
      const there = await open();
      onTestFinished(() => there.close());
      const path = newFile();
      const said: string[] = [];
      const otlp = createOtlpSink({
        url: there.url,
        timeoutMs: 300,
        fetch,
        onTrouble: (line) => said.push(line),
      });
      const collector = collecting(createFileSink({ path, onTrouble: () => {} }), otlp);
      for (let index = 0; index < 12; index += 1) give(collector, index * 512, 512);
      // Most of them would be waited for for ever: then this test ends by its own time.
      await collector.close();
      expect(exported(path)).toHaveLength(12 * 512);
      if (_what !== 'it answers without end') {
        expect(said.length).toBeLessThanOrEqual(1);
        expect(said.join()).not.toContain('Bearer');
      }
    },
  );

  test('keeps no more waiting than it may, and says what it dropped', async () => {
    const there = await httpCollector(() => {});
    onTestFinished(() => there.close());
    const otlp = createOtlpSink({ url: there.url, timeoutMs: 200, fetch, onTrouble: () => {} });
    for (let index = 0; index < 1000; index += 1) await otlp.write(Buffer.alloc(1024), 1);
    expect(otlp.lost()).toBeGreaterThan(900);
    await otlp.close();
    expect(otlp.lost()).toBeLessThanOrEqual(1000);
  });

  test('that comes back is given spans again', async () => {
    let well = false;
    const there = await httpCollector((_request, response) =>
      response.writeHead(well ? 200 : 500).end(),
    );
    onTestFinished(() => there.close());
    const said: string[] = [];
    const { fetch, answers } = counting();
    const onTrouble = (line: string) => said.push(line);
    const otlp = createOtlpSink({ url: there.url, timeoutMs: 30_000, fetch, onTrouble });
    const answered = async (): Promise<void> => {
      const before = answers();
      await otlp.write(Buffer.from('{}'), 1);
      await expect.poll(answers).toBe(before + 1);
    };
    await answered();
    await expect.poll(() => otlp.lost()).toBe(1);
    well = true;
    await answered();
    await otlp.close();
    expect(otlp.lost()).toBe(1);
    expect(said).toEqual(['the trace collector does not take spans: status 500']);
  });
});
