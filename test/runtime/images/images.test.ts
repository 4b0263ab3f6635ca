import { appendFile, chmod, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { verifyImageSignature } from '#identity/issuer/launcher-link.ts';
import { createImageBuilder } from '#runtime/images/build.ts';
import { createImageSigner, readCiPublicKey } from '#runtime/images/sign.ts';
import { storedDigest, storeImage } from '#runtime/images/store.ts';
import { tempFolder, value } from '../support.ts';

let folder = '';
let remove: () => Promise<void>;
beforeEach(async () => {
  ({ path: folder, remove } = await tempFolder());
});
afterEach(() => remove());

/** A small project of its own, so that tests may change its sources. */
async function project(): Promise<{ root: string; entry: string }> {
  const root = join(folder, 'project');
  await mkdir(root, { recursive: true });
  await writeFile(join(root, 'package.json'), '{"type":"module","imports":{"#part/*":"./*"}}');
  await writeFile(join(root, 'part.ts'), 'export const greeting: string = "hello";\n');
  await writeFile(
    join(root, 'entry.ts'),
    'import { greeting } from "#part/part.ts";\nconsole.log(greeting);\n',
  );
  return { root, entry: join(root, 'entry.ts') };
}

async function build(root: string, entry: string) {
  const builder = createImageBuilder(root, join(folder, 'images'));
  return builder.build({ name: 'greeter', version: '1', entry });
}

describe('building an image', () => {
  test('gives the same digest for the same sources, without building twice', async () => {
    const { root, entry } = await project();
    const first = value(await build(root, entry));
    const second = value(await build(root, entry));
    expect([first.built, second.built]).toEqual([true, false]);
    expect(second.digest).toBe(first.digest);
    await rm(join(folder, 'images'), { recursive: true });
    expect(value(await build(root, entry))).toMatchObject({ built: true, digest: first.digest });
  });

  test('builds anew when any source of it changed', async () => {
    const { root, entry } = await project();
    const first = value(await build(root, entry));
    await writeFile(join(root, 'part.ts'), 'export const greeting: string = "bye";\n');
    const second = value(await build(root, entry));
    expect(second.built).toBe(true);
    expect(second.digest).not.toBe(first.digest);
  });

  test('builds anew when somebody changed the image', async () => {
    const { root, entry } = await project();
    const first = value(await build(root, entry));
    await appendFile(join(first.folder, 'main.mjs'), '\n// changed');
    expect(value(await build(root, entry))).toMatchObject({ built: true, digest: first.digest });
  });

  test('holds no path of this machine', async () => {
    const { root, entry } = await project();
    const { folder: image } = value(await build(root, entry));
    expect(await readFile(join(image, 'main.mjs'), 'utf8')).not.toContain(folder);
  });

  test('carries one native file for each native package, and the bundle loads it from its folder', async () => {
    const root = new URL('../../..', import.meta.url).pathname.replace(/\/$/, '');
    const builder = createImageBuilder(root, join(folder, 'images'));
    const entry = join(root, 'test/runtime/programs/natives.ts');
    const built = value(await builder.build({ name: 'natives', version: '1', entry }));
    const stored = value(await storeImage(built.folder, join(folder, 'store'), []));
    expect(stored.manifest.files.map(({ path }) => path).sort()).toEqual([
      'koffi.node',
      'main.mjs',
      'vec0.so',
    ]);
    const loaded = (await import(stored.main)) as { versions: () => Record<string, string> };
    expect(loaded.versions()).toEqual({
      koffi: expect.any(String),
      vec: expect.stringMatching(/^v\d/),
    });
  });

  test('that cannot be bundled is refused in one line', async () => {
    const { root, entry } = await project();
    await writeFile(entry, 'import "./nowhere.ts";\n');
    const outcome = await build(root, entry);
    expect(outcome).toMatchObject({ ok: false, code: 'IMAGE_BUILD_FAILED' });
    expect(outcome.ok ? '' : outcome.detail).toContain('nowhere.ts');
    expect(outcome.ok ? '' : outcome.detail).not.toContain('\n');
  });
});

async function signedImage() {
  const { root, entry } = await project();
  const image = value(await build(root, entry));
  const signer = value(await createImageSigner(join(folder, 'ci')));
  value(await signer.sign(image.folder));
  return { image, signer };
}

describe('signing an image', () => {
  test('keeps the private key 0600 and the same over builds; the public half is enough to start', async () => {
    const { signer } = await signedImage();
    const again = value(await createImageSigner(join(folder, 'ci')));
    expect(again.key.keyId).toBe(signer.key.keyId);
    expect((await stat(join(folder, 'ci', 'ci-key.pem'))).mode & 0o777).toBe(0o600);
    // A start never opens the private half: it works when there is none.
    await rm(join(folder, 'ci', 'ci-key.pem'));
    expect(value(await readCiPublicKey(join(folder, 'ci'))).keyId).toBe(signer.key.keyId);
  });

  test('two first builds at once agree on one key', async () => {
    const made = await Promise.all([1, 2, 3, 4].map(() => createImageSigner(join(folder, 'ci'))));
    expect(new Set(made.map((outcome) => value(outcome).key.keyId)).size).toBe(1);
  });

  test('without a key, or with something else in its place, a start is told what to do', async () => {
    expect(await readCiPublicKey(folder)).toMatchObject({ ok: false, code: 'IMAGE_KEY_UNUSABLE' });
    await mkdir(join(folder, 'ci'));
    await writeFile(join(folder, 'ci', 'ci-key.pem'), 'not a key');
    expect(await createImageSigner(join(folder, 'ci'))).toMatchObject({
      ok: false,
      code: 'IMAGE_KEY_UNUSABLE',
    });
  });
});

describe('taking an image into the store', () => {
  const store = (source: string, keys: Parameters<typeof storeImage>[2]) =>
    storeImage(source, join(folder, 'store'), keys);

  test('verifies the signature over the bytes that it copies, 0444, under their digest', async () => {
    const { image, signer } = await signedImage();
    const stored = value(await store(image.folder, [signer.key]));
    expect(stored.verified).toBe(true);
    expect(stored.reference.digest).toBe(image.digest);
    expect(verifyImageSignature(stored.reference, signer.key.publicKey)).toBe(true);
    expect(stored.folder).toContain(image.digest.slice(7));
    expect((await stat(stored.main)).mode & 0o777).toBe(0o444);
  });

  test('takes a changed image in as unverified, under its own digest', async () => {
    const { image, signer } = await signedImage();
    await appendFile(join(image.folder, 'main.mjs'), '\n// changed');
    const stored = value(await store(image.folder, [signer.key]));
    expect(stored.verified).toBe(false);
    expect(stored.reference.digest).not.toBe(image.digest);
    expect(verifyImageSignature(stored.reference, signer.key.publicKey)).toBe(false);
  });

  test('is not deceived by a manifest that claims the old digests', async () => {
    const { image, signer } = await signedImage();
    const manifest = await readFile(join(image.folder, 'manifest.json'), 'utf8');
    await writeFile(join(image.folder, 'main.mjs'), 'console.log("evil")');
    await writeFile(join(image.folder, 'manifest.json'), manifest);
    expect(value(await store(image.folder, [signer.key])).verified).toBe(false);
  });

  test.each(['unsigned', 'signed by a stranger', 'signed under another name'])(
    'takes an image in that is %s, as unverified',
    async (how) => {
      const { image, signer } = await signedImage();
      if (how === 'unsigned') await rm(join(image.folder, 'signature.json'));
      if (how === 'signed by a stranger') {
        const stranger = value(await createImageSigner(join(folder, 'other-ci')));
        value(await stranger.sign(image.folder));
      }
      if (how === 'signed under another name') {
        const path = join(image.folder, 'manifest.json');
        const text = await readFile(path, 'utf8');
        await writeFile(path, text.replace('greeter', 'action'));
      }
      expect(value(await store(image.folder, [signer.key])).verified).toBe(false);
    },
  );

  test('never looks at the source again', async () => {
    const { image, signer } = await signedImage();
    const stored = value(await store(image.folder, [signer.key]));
    await rm(image.folder, { recursive: true });
    expect(await storedDigest(stored)).toBe(stored.reference.digest);
  });

  test('notices a copy that somebody changed in the store, and replaces it at the next start', async () => {
    const { image, signer } = await signedImage();
    const stored = value(await store(image.folder, [signer.key]));
    await chmod(stored.main, 0o644);
    await appendFile(stored.main, '\n// changed');
    expect(await storedDigest(stored)).not.toBe(stored.reference.digest);
    value(await store(image.folder, [signer.key]));
    expect(await storedDigest(stored)).toBe(stored.reference.digest);
  });

  test.each([
    ['is not there', undefined],
    ['is no JSON', '{'],
    [
      'leads out of its folder',
      '{"name":"a","version":"1","files":[{"path":"main.mjs","sha256":"' +
        '0'.repeat(64) +
        '"},{"path":"../x","sha256":"' +
        '0'.repeat(64) +
        '"}]}',
    ],
    [
      'has no main file',
      `{"name":"a","version":"1","files":[{"path":"x.mjs","sha256":"${'0'.repeat(64)}"}]}`,
    ],
  ])('refuses a folder whose manifest %s', async (_what, text) => {
    const source = join(folder, 'bad');
    await mkdir(source);
    if (text !== undefined) await writeFile(join(source, 'manifest.json'), text);
    expect(await store(source, [])).toMatchObject({ ok: false, code: 'IMAGE_UNREADABLE' });
  });
});
