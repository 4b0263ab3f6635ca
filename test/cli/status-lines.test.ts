import { expect, test } from 'vitest';
import { type ProcessRow, type StatusView, statusLines } from '#cli/story/status-lines.ts';

const now = new Date('2026-01-01T00:00:00Z');
const camera: ProcessRow = {
  name: 'sensor-cam-1',
  state: 'ready',
  pid: 4_194_304,
  spiffeId: 'spiffe://city.example/agent/sensor/north/cam-1',
  restarts: 0,
  serial: '7e0edd69b8609c61afaa8baf1645570b',
  notAfter: '2026-01-01T00:00:14Z',
  pssKiB: 65_536,
  uid: 1001,
};
const view = (...processes: readonly ProcessRow[]): StatusView => ({
  name: 'city',
  state: 'running',
  processes,
  pssKiB: 102_400,
  now,
  counts: { readings: 3, acknowledged: 2, findings: 1, acts: 1, refusals: 4, denials: 0 },
  traces: { file: '/run/traces.jsonl', written: 7, dropped: 0, refused: 0, lost: {} },
});
/** Without colours, wherever the test runs. */
const draw = (given: StatusView): string[] =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are control sequences
  statusLines(given).map((line) => line.replace(/\u001b\[\d+m/g, ''));

test('a process with its identity, its SVID and its memory is one row', () => {
  expect(draw(view(camera))[1]).toBe(
    'cam-1    ready  4194304  /agent/sensor/north/cam-1  0    45570b  14s   64',
  );
});

test('long names and states cost the path its middle, never a column', () => {
  const district = 'a'.repeat(48);
  const long: ProcessRow = {
    ...camera,
    state: 'backing-off',
    restarts: 12,
    spiffeId: `spiffe://city.example/agent/sensor/${district}/camera-of-the-main-road`,
  };
  const lines = draw(view(camera, long));
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(80);
  expect(lines[2]).toMatch(/backing-off +4194304 +\S*…\S* +12 +45570b +14s +64$/);
});

test('who is quarantined stands below with the reason, which cannot act on the terminal', () => {
  const detail = 'NO_ENTRY: no entry \u001b[2J';
  const bare = { ...camera, state: 'quarantined', detail, serial: undefined, notAfter: undefined };
  const lines = draw(view(bare));
  expect(lines[1]).toMatch(/quarantined +4194304 .* - +- +64$/);
  expect(lines.at(-1)).toBe('quarantined sensor-cam-1: NO_ENTRY: no entry \\u{1b}[2J');
});

test('says when processes share one uid and why, and when each has its own', () => {
  const shares = (...uids: readonly (number | undefined)[]): string[] =>
    draw(view(...uids.map((uid) => ({ ...camera, uid })))).filter((line) => line.startsWith('uid'));
  expect(shares(1001, 1001, 1002)).toEqual([
    'uid 1001 is shared by 2 processes: code run in one of them reaches the others',
  ]);
  expect(shares(1001, 1002, undefined)).toEqual([]);
  expect(draw(view(camera, { ...camera, uid: 1002 })).at(-1)).toBe(
    'each of 2 processes has a uid of its own',
  );
  const why = 'only root gives each process its own uid';
  expect(draw({ ...view(camera, camera), isolation: { why } }).at(-1)).toBe(`  why: ${why}`);
});

test('an SVID that has ended, or lasts for hours, is told so', () => {
  const ends = (notAfter: string): string | undefined =>
    draw(view({ ...camera, notAfter }))[1]
      ?.split(/ +/)
      .at(-2);
  expect(ends('2025-12-31T23:59:59Z')).toBe('over');
  expect(ends('2026-01-02T00:00:00Z')).toBe('24h');
});

test('spans are counted, and those that are missing are said with the reason', () => {
  expect(draw(view(camera))).toContain('traces: 7 spans');
  const traces = { file: '/f', written: 7, dropped: 2, refused: 1, lost: { file: 0, otlp: 5 } };
  expect(draw({ ...view(camera), traces })).toContain(
    'traces: 7 spans, 2 dropped, 1 refused, 5 not taken by otlp',
  );
});
