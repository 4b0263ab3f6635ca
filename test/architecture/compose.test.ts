import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { z } from 'zod';
import { TOOLS } from '#runtime/tools/catalog.mjs';
import { compareVersions } from '#runtime/tools/versions.mjs';
import { compose } from '../tools.ts';
import { PRODUCT_FOLDERS, ROOT, read } from './sources.ts';

const FILE = 'docker-compose.yml';

const service = z.looseObject({
  image: z.string(),
  ports: z.array(z.string()).default([]),
  volumes: z.array(z.string()).default([]),
  cap_drop: z.array(z.string()).default([]),
  security_opt: z.array(z.string()).default([]),
  read_only: z.boolean().default(false),
  init: z.boolean().default(false),
  user: z.string().optional(),
  network_mode: z.string().optional(),
  environment: z.record(z.string(), z.string()).default({}),
  command: z.array(z.string()).default([]),
  entrypoint: z.array(z.string()).default([]),
});
const file = z.looseObject({
  services: z.record(z.string(), service),
  volumes: z.record(z.string(), z.unknown()),
});

const { services, volumes } = file.parse(parse(read(FILE), { merge: true }));
const names = Object.keys(services);
const one = (name: string) => services[name] ?? service.parse({ image: '' });

/** `FROM` lines of the Dockerfile that name an image of others. */
const stages = new Set([...read('Dockerfile').matchAll(/ AS (\S+)$/gm)].map(([, name]) => name));
const bases = [...read('Dockerfile').matchAll(/^FROM (\S+)/gm)]
  .map(([, name]) => name ?? '')
  .filter((name) => !stages.has(name));

describe('docker-compose.yml', () => {
  test('has the broker, Jaeger, the swarm, and who makes the volumes', () => {
    expect(names.sort()).toEqual(['jaeger', 'nats', 'swarm', 'volumes']);
  });

  test.each(names)('%s publishes on loopback alone', (name) => {
    for (const port of one(name).ports) expect(port).toMatch(/^127\.0\.0\.1:\d+:\d+$/);
  });

  test('nobody but Jaeger publishes anything', () => {
    expect(names.filter((name) => one(name).ports.length > 0)).toEqual(['jaeger']);
  });

  test.each(names)('%s names one version of its image', (name) => {
    expect(one(name).image).toMatch(/^[a-z/]+:\d+\.\d+\.\d+(-[a-z]+)?$/);
  });

  test.each(names)('%s has no capability, gains none, and writes to its volumes alone', (name) => {
    expect(one(name)).toMatchObject({
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
      read_only: true,
      init: true,
    });
    for (const forbidden of ['privileged', 'cap_add', 'devices', 'pid', 'ipc', 'userns_mode']) {
      expect(one(name)).not.toHaveProperty(forbidden);
    }
  });

  test('broker and swarm are the same plain user, and the image has no other', () => {
    expect(one('nats').user).toBe('1000:1000');
    expect(one('swarm').user).toBe('1000:1000');
    expect(read('Dockerfile')).toMatch(/^USER node$/m);
  });

  test('the socket of Docker and folders of this machine are in no container', () => {
    const own = names.flatMap((name) => one(name).volumes);
    const bound = own.filter((mount) => !Object.hasOwn(volumes, mount.split(':')[0] ?? ''));
    expect(bound).toEqual(['./runtime/launcher/broker-outside.sh:/broker-outside.sh:ro']);
  });

  test("the broker sees the folder that it shares, and none of the swarm's keys", () => {
    expect(one('nats').volumes.filter((mount) => !mount.startsWith('./'))).toEqual([
      'broker:/state/runs/default/nats',
    ]);
    expect(one('nats').entrypoint.at(-1)).toBe('/state/runs/default/nats/nats-server.conf');
    expect(one('swarm').volumes).toContain('broker:/state/runs/default/nats');
  });

  test('the broker listens where the swarm looks: one network namespace, one port', () => {
    expect(one('swarm').network_mode).toBe('service:nats');
    expect(one('swarm').environment.SWARMPROOF_NATS_EXTERNAL).toMatch(/^\d+$/);
  });

  test('the swarm takes images as they were built, and has no key to sign others', () => {
    expect(one('swarm').command).toContain('--no-build');
    expect(read('Dockerfile')).toMatch(/rm \.swarmproof\/ci\/ci-key\.pem/);
  });

  test('links lead to the port that is published', () => {
    const link = one('swarm').command.find((word) => word.startsWith('--jaeger='));
    expect(one('jaeger').ports.some((port) => link?.endsWith(port.slice(0, 15)))).toBe(true);
  });

  test('versions are those that are known to work', () => {
    const nats = /:(\d+\.\d+\.\d+)/.exec(one('nats').image)?.[1] ?? '0';
    expect(compareVersions(nats, TOOLS['nats-server'].minimum)).toBeGreaterThanOrEqual(0);
    const jaeger = /:(\d+\.\d+\.\d+)/.exec(one('jaeger').image)?.[1] ?? '0';
    expect(TOOLS.jaeger.go.ldflags).toContain(`v${jaeger}`);
    const { version } = JSON.parse(read('package.json'));
    expect(one('swarm').image).toBe(`swarmproof:${version}`);
  });

  test('docker compose accepts it', (context) => {
    const called = compose();
    if (called === undefined) return context.skip('Docker Compose is not here');
    const [program, ...args] = called;
    const home = mkdtempSync(join(tmpdir(), 'compose-'));
    const { status, stderr } = spawnSync(program, [...args, '-f', FILE, 'config', '--quiet'], {
      cwd: ROOT,
      encoding: 'utf8',
      env: { PATH: process.env.PATH, HOME: home },
    });
    rmSync(home, { recursive: true });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  });
});

describe('Dockerfile', () => {
  test('starts from one version of Node, the one that development has', () => {
    const { devDependencies } = JSON.parse(read('package.json'));
    expect(bases.length).toBeGreaterThan(0);
    for (const base of bases) expect(base).toBe(`node:${devDependencies.node}-bookworm-slim`);
  });

  test('gets every folder that a swarm runs from, and nothing that was built here', () => {
    const lines = readFileSync(join(ROOT, '.dockerignore'), 'utf8').trim().split('\n');
    const kept = lines.filter((line) => line.startsWith('!')).map((line) => line.slice(1));
    expect(lines).toContain('*');
    expect(kept).toEqual(expect.arrayContaining([...PRODUCT_FOLDERS, 'swarms', 'package.json']));
    for (const name of ['node_modules', '.swarmproof', '.git', 'test']) {
      expect(kept).not.toContain(name);
    }
  });
});
