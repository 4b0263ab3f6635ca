import { mkdirSync } from 'node:fs';
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
