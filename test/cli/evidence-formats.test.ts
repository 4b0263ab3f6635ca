import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { custodyCommand } from '#cli/commands/custody.ts';
import { mermaidLines } from '#cli/evidence/mermaid.ts';
import { provJson } from '#cli/evidence/prov.ts';
import type { AncestryView } from '#cli/story/ancestry.ts';
import { CHECKOUT } from '#cli/wiring/checkout.ts';
import { verifyAncestry } from '#custody/verify.ts';
import { IDS } from '#test/custody/support.ts';
import { createCity } from './city.ts';

const HOSTILE = '"]; click r0 href "javascript:x" `<b>` %%{init}%% --> end';
let view: AncestryView;
let ids: readonly string[];

/** An act, a finding whose payload was exchanged, and of its two causes one. */
beforeAll(async () => {
  const city = await createCity();
  const read = await city.reading();
  const said = await city.chat(read, HOSTILE);
  const found = await city.finding([read, said]);
  const act = await city.act(found, 'signal.set_plan', { plan: HOSTILE });
  const records = city.ledger
    .ancestry(act.id)
    .filter(({ id }) => id !== said.id)
    .map((one) => (one.id === found.id ? { ...one, payload: Buffer.from('{}') } : one));
  const ancestry = verifyAncestry(records, { bundles: city.swarm.bundles, root: act.id });
  if (ancestry === undefined) throw new Error('no ancestry');
  view = { ancestry, records };
  ids = [act.id, found.id, read.id, said.id];
});

describe('an ancestry for other tools', () => {
  test('as Mermaid: a node for each hop with its verdict, an arrow from each cause', () => {
    const lines = mermaidLines(view);
    expect(lines[0]).toBe('flowchart TD');
    const nodes = lines.filter((line) => /^ {2}r\d\["[^"]*"\]:::\w+$/.test(line));
    expect(nodes.map((line) => line.slice(line.indexOf(':::') + 3))).toEqual([
      'genuine',
      'forged',
      'genuine',
      'unverifiable',
    ]);
    expect(lines.filter((line) => line.includes('-->'))).toEqual([
      '  r1 --> r0',
      '  r2 --> r1',
      '  r3 --> r1',
    ]);
    expect(lines.length).toBe(1 + 4 + 3 + 4);
  });

  test('as Mermaid: what a payload says is text, and neither markup nor another statement', () => {
    const text = mermaidLines(view).join('\n');
    expect(text).toContain('signal.set_plan');
    for (const part of ['click r0 href "', '<b>', '%%{', '`', '"];'])
      expect(text).not.toContain(part);
    expect(text.replaceAll('<br/>', '').replaceAll('-->', '')).not.toMatch(/[<>]/);
  });

  test('as PROV-JSON: records are entities, made by agents and derived from their causes', () => {
    const prov = provJson(view);
    expect(Object.keys(prov.entity)).toEqual(ids.map((id) => `record:${id}`));
    expect(Object.values(prov.entity)).toMatchObject([
      { 'swarmproof:verdict': 'genuine', 'swarmproof:kind': 'act' },
      { 'swarmproof:verdict': 'forged' },
      { 'swarmproof:verdict': 'genuine', 'swarmproof:kind': 'root' },
      { 'swarmproof:verdict': 'unverifiable' },
    ]);
    expect(
      Object.values(prov.agent).map((agent) => (agent as { 'prov:label': string })['prov:label']),
    ).toEqual(
      [IDS.action, IDS.analyzer, IDS.sensor].map((id) => id.slice('spiffe://city.example'.length)),
    );
    expect(Object.values(prov.wasDerivedFrom)).toEqual(
      [
        [0, 1],
        [1, 2],
        [1, 3],
      ].map(([effect = 0, cause = 0]) => ({
        'prov:generatedEntity': `record:${ids[effect]}`,
        'prov:usedEntity': `record:${ids[cause]}`,
        'prov:activity': `making:${ids[effect]}`,
      })),
    );
    expect(Object.keys(prov.wasGeneratedBy)).toHaveLength(3);
    expect(Object.keys(prov.used)).toHaveLength(3);
    // Every name is of a declared namespace.
    const names = Object.keys({ ...prov.entity, ...prov.activity, ...prov.agent });
    for (const name of names) expect(Object.keys(prov.prefix)).toContain(name.split(':')[0]);
  });
});

describe('the pages about custody', () => {
  const shown = ['docs/evidence.md', 'docs/custody.md']
    .flatMap((page) => [
      ...readFileSync(join(CHECKOUT, page), 'utf8').matchAll(/swarmproof (custody [^\n`#)]+)/g),
    ])
    .map(([, line = '']) => line.trim().split(/\s+/).slice(1));

  test.each(shown.map((words) => [words.join(' '), words] as const))(
    '%s: can be called so',
    (_line, words) => {
      const [verb, ...rest] = words;
      const command = custodyCommand().commands.find((one) => one.name() === verb);
      expect(command, verb).toBeDefined();
      const known = command?.options.flatMap(({ short, long }) => [short, long]);
      for (const flag of rest.filter((word) => word.startsWith('-'))) expect(known).toContain(flag);
    },
  );
});
