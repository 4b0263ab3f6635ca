import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadSwarm, parseSwarm } from '#runtime/swarm-file/load.ts';
import { GOOD, schemas, TABLE } from './cases.ts';

function parse(text: string) {
  return parseSwarm('swarms/town.yaml', text, schemas);
}

describe('a swarm file', () => {
  test('that holds together is accepted', () => {
    expect(parse(GOOD)).toMatchObject({ ok: true, value: { file: { svidTtl: 20 } } });
  });

  test.each(TABLE)('with %s is refused at its line, with the fix', (_name, from, to, said) => {
    expect(GOOD).toContain(from);
    const outcome = parse(GOOD.replace(from, () => to));
    expect(outcome).toMatchObject({ ok: false, code: 'SWARM_FILE_INVALID' });
    const lines = outcome.ok ? [] : outcome.detail.split('\n');
    expect(
      lines.some((line) => line.includes(said)),
      lines.join('\n'),
    ).toBe(true);
    for (const line of lines) expect(line).toMatch(/^swarms\/town\.yaml:\d+:\d+ /);
  });

  test('names two agents that would share a token', () => {
    const twin = GOOD.replace(
      'services:\n  llm',
      '  - { role: sensor, district: north, name: cam-1, source: { kind: csv, path: a.csv } }\nservices:\n  llm',
    );
    const outcome = parse(twin);
    expect(outcome.ok ? '' : outcome.detail).toBe(
      'swarms/town.yaml:17:44 agents[2].name: token sensor-cam-1 is already that of agents[0]; choose another name',
    );
  });

  test('is told every problem at once, in the order of its lines', () => {
    const outcome = parse(
      GOOD.replace('services: [llm]', 'services: [x]').replace('tools: [valve.set]', 'tools: [y]'),
    );
    expect(outcome.ok ? [] : outcome.problems.map(({ line, field }) => [line, field])).toEqual([
      [9, 'roles.analyzer.services[0]'],
      [12, 'roles.analyzer.tools[0]'],
    ]);
  });

  test.each([
    ['nothing', ''],
    ['a list', '- a'],
    ['a word', 'swarm'],
    ['null', 'null'],
  ])('that is %s is refused, not thrown at', (_name, text) => {
    expect(parse(text)).toMatchObject({ ok: false, code: 'SWARM_FILE_INVALID' });
  });

  test('that expands aliases without end is refused', () => {
    const names = 'abcdefghi';
    const bomb = [...names].map((letter, index) => {
      const inner = index === 0 ? 'x' : `*${names[index - 1]}`;
      return `${letter}: &${letter} [${Array(9).fill(inner).join(', ')}]`;
    });
    expect(parse(bomb.join('\n'))).toMatchObject({ ok: false, code: 'SWARM_FILE_INVALID' });
  });
});

describe('reading a swarm file', () => {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'swarm-file-'));
  });
  afterAll(() => rm(folder, { recursive: true }));

  test('that is there works, with or without a byte order mark', async () => {
    const path = join(folder, 'good.yaml');
    await writeFile(path, `\uFEFF${GOOD}`);
    expect(await loadSwarm(path, schemas)).toMatchObject({ ok: true });
  });

  test.each([
    ['is not there', 'none.yaml', undefined, 'does not exist'],
    ['is a folder', '.', undefined, 'is not a file'],
    ['is not UTF-8', 'bytes.yaml', Buffer.from([0xff, 0xfe, 0x00]), 'is not UTF-8'],
    ['is huge', 'huge.yaml', Buffer.alloc(4 * 1024 * 1024 + 1, 0x20), 'larger than 4 MiB'],
  ])('that %s is refused in one line', async (_name, file, content, said) => {
    const path = join(folder, file);
    if (content !== undefined) await writeFile(path, content);
    const outcome = await loadSwarm(path, schemas);
    expect(outcome).toMatchObject({ ok: false, code: 'SWARM_FILE_UNREADABLE' });
    expect(outcome.ok ? '' : outcome.detail).toContain(said);
    expect(outcome.ok ? '' : outcome.detail).not.toContain('\n');
  });
});
