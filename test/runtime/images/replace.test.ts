import { execFileSync } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createImageBuilder } from '#runtime/images/build.ts';
import type { Replacements } from '#runtime/images/replace.ts';
import { tempFolder, value } from '../support.ts';

let root = '';
let remove: () => Promise<void>;

/** A small project: the entry says what `part.ts` says, and so does what another folder imports. */
const FILES = {
  'package.json': '{"type":"module","imports":{"#part/*":"./*"}}',
  'part.ts': "export const word: string = 'part';\n",
  'deep/again.ts': "export { word as again } from '../part.ts';\n",
  'entry.ts':
    "import { word } from '#part/part.ts';\nimport { again } from './deep/again.ts';\nconsole.log(word, again);\n",
  'other/part.ts': "export const word: string = 'other';\n",
  'more.ts':
    "import { word as before } from './part.ts';\nexport const word: string = before + '+more';\n",
  'alone.ts': "export const word: string = 'alone';\n",
};

beforeEach(async () => {
  const made = await tempFolder();
  remove = made.remove;
  root = join(made.path, 'project');
  for (const folder of ['', 'deep', 'other']) await mkdir(join(root, folder), { recursive: true });
  for (const [name, text] of Object.entries(FILES)) await writeFile(join(root, name), text);
});
afterEach(() => remove());

const build = (replace?: Replacements, cache = 'images') =>
  createImageBuilder(root, join(root, '..', cache)).build({
    name: 'words',
    version: '1',
    entry: join(root, 'entry.ts'),
    ...(replace !== undefined && { replace }),
  });

async function said(replace?: Replacements): Promise<string> {
  const { folder } = value(await build(replace));
  return execFileSync(process.execPath, [join(folder, 'main.mjs')], { encoding: 'utf8' }).trim();
}

describe('an image with a module exchanged', () => {
  test('has the other one wherever the first was imported, by whatever name', async () => {
    expect(await said()).toBe('part part');
    expect(await said({ 'part.ts': 'other/part.ts' })).toBe('other other');
  });

  test('is made of other files, and says so', async () => {
    const plain = value(await build());
    const other = value(await build({ 'part.ts': 'other/part.ts' }));
    expect(plain.modules).toEqual(['deep/again.ts', 'entry.ts', 'part.ts']);
    expect(other.modules).toEqual(['deep/again.ts', 'entry.ts', 'other/part.ts']);
    expect(other.digest).not.toBe(plain.digest);
  });

  test('may build on what it stands for', async () => {
    expect(await said({ 'part.ts': 'more.ts' })).toBe('part+more part+more');
  });

  test('may be exchanged in its turn, and a circle ends', async () => {
    expect(await said({ 'part.ts': 'other/part.ts', 'other/part.ts': 'alone.ts' })).toBe(
      'alone alone',
    );
    const circle = { 'part.ts': 'alone.ts', 'alone.ts': 'part.ts' };
    expect(await said(circle)).toBe('part part');
  });

  test('is not built when the module to exchange is not among its own', async () => {
    const refused = await build({ 'part.ts': 'other/part.ts', 'deep/gone.ts': 'alone.ts' });
    expect(refused).toMatchObject({
      ok: false,
      code: 'IMAGE_BUILD_FAILED',
      detail: expect.stringContaining('deep/gone.ts'),
    });
    expect(await build({ 'part.ts': 'gone.ts' })).toMatchObject({ ok: false });
  });

  test('is another than the one without, in the same cache, and stands when it is there', async () => {
    const replace = { 'part.ts': 'other/part.ts' };
    const built = async (with_?: Replacements) => value(await build(with_)).built;
    expect([await built(), await built(replace), await built(replace)]).toEqual([
      true,
      true,
      false,
    ]);
    expect([await built(), await built()]).toEqual([true, false]);
    expect(await built(replace)).toBe(true);
    await writeFile(join(root, 'other/part.ts'), "export const word: string = 'changed';\n");
    expect(await built(replace)).toBe(true);
    expect(await said(replace)).toBe('changed changed');
  });
});
