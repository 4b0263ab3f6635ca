import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { createDirectory } from '#bus/directory.ts';
import { registrations, workloadOf } from '#runtime/swarm-file/entries.ts';
import { inputFile, parseInput, withInput } from '#runtime/swarm-file/input.ts';
import { loadSwarm } from '#runtime/swarm-file/load.ts';
import { policyData } from '#runtime/swarm-file/policy-data.ts';
import { resolveSwarm, type Swarm } from '#runtime/swarm-file/resolve.ts';

const open = z.looseObject({});
const schemas = {
  roles: { sensor: open, analyzer: open, action: open },
  services: { llm: open, vector: open, mcp: open, 'city-works': open },
};

async function smartCity(): Promise<Swarm> {
  const path = new URL('../../../swarms/smart-city.yaml', import.meta.url).pathname;
  const loaded = await loadSwarm(path, schemas);
  if (!loaded.ok) throw new Error(loaded.detail);
  return resolveSwarm(loaded.value);
}

describe('the smart city, resolved', () => {
  test('gives every agent, service and platform process one ID and one token', async () => {
    const swarm = await smartCity();
    const directory = createDirectory(swarm.members);
    expect(directory.byToken('sensor-cam-1')?.id).toBe(
      'spiffe://city.example/agent/sensor/north/cam-1',
    );
    expect(directory.byToken('service-city-works')?.id).toBe(
      'spiffe://city.example/service/city-works',
    );
    for (const name of ['nats', 'gate-a', 'gate-b', 'ledger', 'supervisor']) {
      expect(directory.byToken(`platform-${name}`)?.id).toBe(
        `spiffe://city.example/platform/${name}`,
      );
    }
  });

  test('routes each kind to the consumers of its own district', async () => {
    const swarm = await smartCity();
    expect(swarm.kinds).toEqual(['finding', 'reading']);
    expect(swarm.routes).toContainEqual({
      sender: 'spiffe://city.example/agent/sensor/north/cam-2',
      kind: 'reading',
      receivers: ['spiffe://city.example/agent/analyzer/north/analyzer-1'],
    });
    expect(swarm.consumptions.map(({ kind, receiver }) => [kind, receiver.token])).toEqual([
      ['reading', 'analyzer-analyzer-1'],
      ['finding', 'action-action-1'],
    ]);
  });

  test("becomes the policy's data document, with nothing left out and nothing added", async () => {
    const data = policyData(await smartCity());
    expect(Object.keys(data).sort()).toEqual([
      'collections',
      'grants',
      'members',
      'tools',
      'trust_domain',
    ]);
    expect(data).toMatchObject({
      trust_domain: 'city.example',
      members: {
        'spiffe://city.example/agent/sensor/north/cam-1': {
          token: 'sensor-cam-1',
          kind: 'agent',
          role: 'sensor',
          district: 'north',
          name: 'cam-1',
        },
        'spiffe://city.example/platform/ledger': {
          token: 'platform-ledger',
          kind: 'platform',
          role: 'ledger',
          name: 'ledger',
        },
      },
      tools: { 'valve.set': { high_risk: true, arguments: { delta_pct: { min: -10, max: 10 } } } },
      collections: { runbooks: { district: null } },
    });
    expect(data.grants).toMatchObject({
      'spiffe://city.example/agent/analyzer/north/analyzer-1': {
        publish: ['finding'],
        consume: ['reading'],
        services: ['llm', 'vector'],
        models: ['city-small'],
        collections: { runbooks: ['read'] },
        tools: ['signal.set_plan', 'valve.set'],
        budget: { calls_per_minute: 600, tokens_per_hour: 500000 },
      },
      'spiffe://city.example/service/mcp': {
        publish: [],
        consume: [],
        services: ['city-works'],
        models: [],
        train: [],
        collections: {},
        tools: [],
        budget: {},
      },
    });
    expect(Object.keys(Object(data.grants)).some((id) => id.includes('/platform/'))).toBe(false);
  });

  test('registers who is attested, and not who gets a certificate from the launcher', async () => {
    const entries = registrations(await smartCity());
    const ids = entries.map(({ spiffe_id }) => spiffe_id);
    expect(ids).toContain('spiffe://city.example/platform/gate-a');
    expect(ids).not.toContain('spiffe://city.example/platform/nats');
    expect(ids).not.toContain('spiffe://city.example/platform/supervisor');
    for (const { selectors, x509_svid_ttl } of entries) {
      expect(x509_svid_ttl).toBe(20);
      expect(selectors).toContainEqual({ type: 'swarm', value: 'image-signature:verified' });
    }
  });

  test('describes no two processes alike to the issuer', async () => {
    const swarm = await smartCity();
    const words = swarm.members.map((member) =>
      JSON.stringify(Object.values(workloadOf(member)).slice(1)),
    );
    expect(new Set(words).size).toBe(words.length);
  });
});

describe('--input', () => {
  test.each([
    ['readings.csv', 'csv'],
    ['readings.CSV', 'csv'],
    ['readings.ndjson', 'ndjson'],
    ['readings.jsonl', 'ndjson'],
  ])(
    'gives a sensor the file %s as a source of kind %s, and no other agent',
    async (path, kind) => {
      const swarm = await smartCity();
      const outcome = withInput(swarm, 'cam-1', path);
      if (!outcome.ok) throw new Error(outcome.detail);
      const changed = outcome.value.agents.filter((agent, index) => agent !== swarm.agents[index]);
      expect(changed.map(({ member, config }) => [member.name, Object(config).source])).toEqual([
        ['cam-1', { kind, path }],
      ]);
    },
  );

  test('takes a token as well as a name', async () => {
    expect(withInput(await smartCity(), 'sensor-cam-2', 'a.csv')).toMatchObject({ ok: true });
  });

  test.each([
    [
      'cam-9',
      'a.csv',
      'no sensor of that name; swarm smart-city has: cam-1, cam-2, cam-3 (did you mean cam-1?)',
    ],
    ['door', 'a.csv', 'no sensor of that name; swarm smart-city has: cam-1, cam-2, cam-3'],
    ['analyzer-1', 'a.csv', 'no sensor of that name; swarm smart-city has: cam-1, cam-2, cam-3'],
    ['cam-1', 'a.xlsx', 'the file must end in .csv, .ndjson or .jsonl'],
  ])('%s=%s is refused with what would work', async (name, path, said) => {
    const outcome = withInput(await smartCity(), name, path);
    expect(outcome.ok ? '' : outcome.detail).toContain(said);
  });

  test.each(['cam-1', '=a.csv', 'cam-1='])('%s is refused with its form', (option) => {
    expect(parseInput(option)).toMatchObject({ ok: false, code: 'INPUT_INVALID' });
    expect(parseInput('cam-1=a=b.csv')).toEqual({
      ok: true,
      value: { name: 'cam-1', path: 'a=b.csv' },
    });
  });

  test('a file is followed to its real path; what is no file is refused', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'input-'));
    try {
      await writeFile(join(folder, 'a.csv'), 'x\n1\n');
      await symlink(join(folder, 'a.csv'), join(folder, 'b.csv'));
      expect(await inputFile(join(folder, 'b.csv'))).toMatchObject({ ok: true });
      const real = await inputFile(join(folder, 'b.csv'));
      expect(real.ok && real.value.endsWith('/a.csv')).toBe(true);
      expect(await inputFile(folder)).toMatchObject({ ok: false, code: 'INPUT_INVALID' });
      expect(await inputFile(join(folder, 'none.csv'))).toMatchObject({
        ok: false,
        code: 'INPUT_INVALID',
      });
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
