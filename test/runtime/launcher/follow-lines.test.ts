import { appendFileSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { followLines } from '#runtime/launcher/follow-lines.ts';

let folder: string;
let stop: () => void = () => {};
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'rt-'));
});
afterEach(() => {
  stop();
  rmSync(folder, { recursive: true, force: true });
});

/** Follows `log`, and resolves with all lines when one of them is `last`. */
function follow(last: string): { readonly path: string; readonly heard: Promise<string[]> } {
  const path = join(folder, 'log');
  const lines: string[] = [];
  const { promise, resolve } = Promise.withResolvers<string[]>();
  stop = followLines(path, (line) => {
    lines.push(line);
    if (line === last) resolve(lines);
  });
  return { path, heard: promise };
}

test('a file that is there is followed from its end, one that comes from its beginning', async () => {
  writeFileSync(join(folder, 'log'), 'of an earlier run\n');
  const first = follow('two');
  appendFileSync(first.path, 'one\ntw');
  appendFileSync(first.path, 'o\n');
  expect(await first.heard).toEqual(['one', 'two']);
  stop();
  rmSync(first.path);
  const second = follow('three');
  writeFileSync(second.path, 'three\n');
  expect(await second.heard).toEqual(['three']);
});

test('a log that is turned over is followed into the new file', async () => {
  const { path, heard } = follow('after');
  writeFileSync(path, 'before\n');
  await new Promise((resolve) => setImmediate(resolve));
  const turned = `${path}.1`;
  renameSync(path, turned);
  writeFileSync(path, 'after\n');
  expect((await heard).at(-1)).toBe('after');
});

test('a line without end fills no memory, and the next one is heard', async () => {
  const { path, heard } = follow('short');
  for (let part = 0; part < 8; part += 1) appendFileSync(path, 'x'.repeat(4096));
  appendFileSync(path, '\nshort\n');
  expect(await heard).toEqual(['short']);
});
