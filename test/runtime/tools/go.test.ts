import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { fromGo } from '#runtime/tools/go.mjs';
import { script, serve, temporaryFolder } from './machine.ts';

let folder: ReturnType<typeof temporaryFolder>;
beforeEach(() => {
  folder = temporaryFolder();
});
afterEach(() => folder.remove());

/** Stands in for Go: the real one takes a minute. It writes down what it was asked. */
function go(proxy: string): string {
  const asked = join(folder.path, 'asked');
  script(
    join(folder.path, 'bin', 'go'),
    `if [ "$1" = env ]; then echo "\${GOPROXY:-${proxy}}"; echo ${join(folder.path, 'modules')}; exit 0; fi
echo "$GOPROXY $*" > ${asked}
case "$GOPROXY" in file:*) [ -d "\${GOPROXY#file://}" ] || { echo "no such module" >&2; exit 1; };; esac
printf '#!/bin/sh\\necho v2.1.0\\n' > "$GOBIN/widget"; chmod +x "$GOBIN/widget"`,
  );
  return asked;
}

function order() {
  return {
    name: 'widget',
    module: 'widget.example/widget',
    version: 'v2.1.0',
    folder: folder.path,
    environment: { PATH: `${join(folder.path, 'bin')}:/usr/bin:/bin` },
    say: () => {},
  };
}

test('builds the pinned version when the module proxy answers', async () => {
  const server = await serve((request, answer) => {
    answer.writeHead(request.url === '/widget.example/widget/@v/v2.1.0.info' ? 200 : 404).end();
  });
  go(`${server.url},direct`);
  const built = await fromGo(order());
  expect(built).toEqual({ path: join(folder.path, 'widget'), source: 'go v2.1.0', why: '' });
  await server.close();
});

test('a module proxy that never answers costs the probe; what go has in its cache is built', async () => {
  const server = await serve(() => {});
  go(server.url);
  const hasty = { ...order(), probeMs: 300 };
  expect(await fromGo(hasty)).toEqual({
    source: '',
    why: "module proxy: no answer within 0.3 s; not in go's own cache",
  });
  mkdirSync(join(folder.path, 'modules', 'cache', 'download'), { recursive: true });
  expect(await fromGo(hasty)).toMatchObject({ source: 'go v2.1.0' });
  await server.close();
});

/** A module as Go has it in its cache, with a replacement, and a Go that knows this one alone. */
function replacing(): { readonly asked: string; readonly sums: string } {
  const source = join(folder.path, 'modules', 'widget');
  mkdirSync(source, { recursive: true });
  writeFileSync(
    join(source, 'go.mod'),
    'module widget.example/widget\n\ngo 1.24\n\nreplace a.example/a => a.example/a v1.2.3\n',
  );
  const sums = 'a.example/a v1.2.3 h1:AAAA=\n';
  writeFileSync(join(source, 'go.sum'), sums);
  const asked = join(folder.path, 'asked');
  const answer = JSON.stringify({
    Dir: source,
    GoMod: join(source, 'go.mod'),
    Sum: 'h1:WWWW=',
    GoModSum: 'h1:MMMM=',
  });
  script(
    join(folder.path, 'bin', 'go'),
    `echo "$*" >> ${asked}
case "$1" in
env) echo off; echo ${join(folder.path, 'modules')};;
install) echo "the go.mod file contains one or more replace directives" >&2; exit 1;;
mod) echo '${answer}';;
build) while [ "$1" != -o ]; do shift; done
  printf '#!/bin/sh\\necho v2.1.0\\n' > "$2"; chmod +x "$2";;
esac`,
  );
  return { asked, sums };
}

test('a module that replaces others is built under its own go.mod and go.sum', async () => {
  const { asked, sums } = replacing();
  expect(await fromGo(order())).toMatchObject({
    why: 'go install: the go.mod file contains one or more replace directives',
  });
  const program = 'widget.example/widget/cmd/widget';
  const built = await fromGo({ ...order(), package: program, ldflags: '-X main.version=v2.1.0' });
  expect(built).toEqual({ path: join(folder.path, 'widget'), source: 'go v2.1.0', why: '' });
  expect(readFileSync(join(folder.path, 'go.mod'), 'utf8')).toBe(
    'module swarmproof.invalid/build\n\ngo 1.24\n\nreplace a.example/a => a.example/a v1.2.3\n\nrequire widget.example/widget v2.1.0\n',
  );
  expect(readFileSync(join(folder.path, 'go.sum'), 'utf8')).toBe(
    `${sums}widget.example/widget v2.1.0 h1:WWWW=\nwidget.example/widget v2.1.0/go.mod h1:MMMM=\n`,
  );
  expect(readFileSync(asked, 'utf8').trim().split('\n').slice(-2)).toEqual([
    'mod download -json widget.example/widget@v2.1.0',
    `build -mod=readonly -trimpath -ldflags -X main.version=v2.1.0 -o ${join(folder.path, 'widget')} ${program}`,
  ]);
});

test('a module whose sums cannot be read is not built', async () => {
  replacing();
  script(
    join(folder.path, 'bin', 'go'),
    `case "$1" in env) echo off; echo ${folder.path};; mod) echo '{"Dir":"/nowhere"}';; esac`,
  );
  const built = await fromGo({ ...order(), package: 'widget.example/widget/cmd/widget' });
  expect(built.path).toBeUndefined();
  expect(built.why).toContain('go build: ');
});
