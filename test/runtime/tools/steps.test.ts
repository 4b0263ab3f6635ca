import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { prepare } from '#runtime/tools/steps.mjs';
import { script, serve, temporaryFolder } from './machine.ts';

const BROKER = 'echo "nats-server: v2.12.1"';
const OPA = 'echo "Version: 1.19.1"';

let folder: ReturnType<typeof temporaryFolder>;
let release: Awaited<ReturnType<typeof serve>>;
let asked: string[] = [];
let said: string[] = [];

/** A machine with these programs, and a release server that has nothing. */
beforeEach(async () => {
  folder = temporaryFolder();
  asked = [];
  said = [];
  release = await serve((request, answer) => {
    asked.push(request.url ?? '');
    answer.writeHead(404).end();
  });
});
afterEach(async () => {
  await release.close();
  folder.remove();
});

function ready(programs: Readonly<Record<string, string>>, named: Record<string, string> = {}) {
  for (const [name, body] of Object.entries(programs)) script(join(folder.path, 'bin', name), body);
  const environment = {
    PATH: join(folder.path, 'bin'),
    SWARMPROOF_RELEASE_BASE: release.url,
    ...named,
  };
  const say = (line: string) => said.push(line);
  return prepare({ root: folder.path, purpose: 'test', environment, say });
}

describe('for tests', () => {
  test('both tools are handed on when they are there', async () => {
    const prepared = await ready({ 'nats-server': BROKER, opa: OPA });
    expect(prepared).toMatchObject({
      ok: true,
      variables: {
        SWARMPROOF_NATS_SERVER: join(folder.path, 'bin', 'nats-server'),
        SWARMPROOF_OPA: join(folder.path, 'bin', 'opa'),
      },
    });
    expect(asked).toEqual([]);
  });

  test('a missing opa is looked for, and told in one line', async () => {
    const prepared = await ready({ 'nats-server': BROKER });
    expect(prepared).toMatchObject({ ok: true, summary: ['nats-server 2.12.1 (PATH)'] });
    expect(asked).toHaveLength(1);
    expect(said).toEqual(['opa is not here and is not needed: tests of it are skipped']);
  });

  test('an opa that the user has named, and that cannot be used, is an error', async () => {
    const prepared = await ready({ 'nats-server': BROKER }, { SWARMPROOF_OPA: '/nowhere/opa' });
    expect(prepared).toMatchObject({ ok: false });
    expect(prepared.ok ? '' : prepared.lines.at(-1)).toContain('correct or unset SWARMPROOF_OPA');
  });

  test('a missing broker is an error', async () => {
    const prepared = await ready({ opa: OPA });
    expect(prepared).toMatchObject({ ok: false });
    expect(prepared.ok ? '' : prepared.lines.at(-1)).toMatch(/^nats-server is not here/);
  });
});
