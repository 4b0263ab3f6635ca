import { appendFile, cp, mkdir, readFile, realpath, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { refuse } from '#identity/outcome.ts';
import { type StoredImage, storeImage } from '#runtime/images/store.ts';
import { createIssuerLink, type IssuerLink } from '#runtime/launcher/issuer-link.ts';
import { type LaunchContext, launch } from '#runtime/launcher/launch.ts';
import { findLifeline } from '#runtime/launcher/lifeline.ts';
import type { ProcessPlan } from '#runtime/supervisor/plan.ts';
import { createSupervisor, type Supervisor } from '#runtime/supervisor/supervisor.ts';
import { registrationOf, workloadOf } from '#runtime/swarm-file/entries.ts';
import { buildImage, startMessage, tempFolder, value } from '../support.ts';

const MEMBER = startMessage({}).self;
let folder = '';
let remove: () => Promise<void>;
let link: IssuerLink;
let supervisor: Supervisor;
let context: LaunchContext;
let store = '';
let source = '';
let issuer: ProcessPlan;
let key: Awaited<ReturnType<typeof buildImage>>['key'];

let built: Awaited<ReturnType<typeof tempFolder>>;
let images: Record<'issuer' | 'sensor', string>;

beforeAll(async () => {
  built = await tempFolder();
  const made = await buildImage(built.path, 'cli/processes/issuer.ts', 'issuer');
  key = made.key;
  const sensor = await buildImage(built.path, 'test/runtime/programs/identified.ts', 'sensor');
  images = { issuer: made.image, sensor: sensor.image };
});
afterAll(() => built.remove());

/** A real issuer in its own process, and the image of a program that asks it for its identity. */
beforeEach(async () => {
  ({ path: folder, remove } = await tempFolder());
  store = join(folder, 'store');
  source = join(folder, 'sensor');
  await cp(images.sensor, source, { recursive: true });
  link = createIssuerLink();
  context = {
    node: await realpath(process.execPath),
    store,
    logs: folder,
    lifeline: await findLifeline(),
    attest: (claims) => link.attest(claims),
    exited: (pid, startTime) => link.exited(pid, startTime),
  };
  const image = value(await storeImage(images.issuer, store, [key]));
  await mkdir(join(folder, 'issuer'), { mode: 0o700 });
  const config = {
    stateDir: join(folder, 'issuer'),
    launcherKey: link.publicKey,
    ciKeys: {
      [key.keyId]: key.publicKey.export({ type: 'spki', format: 'der' }).toString('base64'),
    },
    mintable: [],
  };
  value(await link.setEntries([registrationOf(MEMBER, 20)]));
  issuer = {
    kind: 'process',
    name: 'issuer',
    after: [],
    start: (signal) =>
      launch(
        {
          name: 'issuer',
          image,
          hardening: 'plain',
          withLink: true,
          start: () => startMessage(config, { workloadSocket: join(folder, 'workload.sock') }),
        },
        context,
        signal,
      ),
    onReady: (running) => {
      if (running.link === undefined) return Promise.resolve(refuse('NO_LINK', 'no link'));
      return link.attach(running.link);
    },
  };
});
afterEach(async () => {
  link.close();
  await supervisor?.stop();
  await remove();
});

function sensor(image: StoredImage): ProcessPlan {
  return {
    kind: 'process',
    name: 'sensor-cam-1',
    after: ['issuer'],
    spiffeId: MEMBER.id,
    start: (signal) =>
      launch(
        {
          name: 'sensor-cam-1',
          image,
          hardening: 'sealed',
          workload: workloadOf(MEMBER),
          start: () => startMessage({}, { workloadSocket: join(folder, 'workload.sock') }),
        },
        context,
        signal,
      ),
  };
}

async function start(image: StoredImage): Promise<void> {
  supervisor = createSupervisor({
    plan: [issuer, sensor(image)],
    now: () => new Date(),
    random: Math.random,
  });
  link.onEvent((event) => {
    if (event.event === 'issued')
      supervisor.noteIssued(event.spiffeId, event.serial, event.notAfter);
  });
  value(await supervisor.start());
}

const sensorStatus = () =>
  supervisor.status().processes.find(({ name }) => name === 'sensor-cam-1');

/** As it stands when the issuer, too, has told of the sensor's SVID. */
async function issued() {
  await expect.poll(() => sensorStatus()?.serial).toEqual(expect.any(String));
  return sensorStatus();
}

describe('with a real issuer', () => {
  test('a signed image gets its SVID', async () => {
    const image = value(await storeImage(source, store, [key]));
    expect(image.verified).toBe(true);
    await start(image);
    // The issuer and the sensor tell of it each by its own way.
    await expect.poll(sensorStatus).toMatchObject({
      state: 'ready',
      spiffeId: MEMBER.id,
      serial: expect.any(String),
      notAfter: expect.any(String),
      report: { id: MEMBER.id },
    });
  });

  test('a changed image runs, gets nothing, and is quarantined; not restarted, not crashed', async () => {
    await appendFile(join(source, 'main.mjs'), '\n// one line more\n');
    const image = value(await storeImage(source, store, [key]));
    expect(image.verified).toBe(false);
    await start(image);
    const status = sensorStatus();
    expect(status).toMatchObject({ state: 'quarantined', restarts: 0, pid: expect.any(Number) });
    expect(status?.serial).toBeUndefined();
    expect(supervisor.status().state).toBe('running');
  });

  test('an unsigned image is quarantined', async () => {
    await rm(join(source, 'signature.json'));
    await start(value(await storeImage(source, store, [key])));
    expect(sensorStatus()).toMatchObject({ state: 'quarantined' });
  });

  test('an image that was changed in the store after its signature was checked is quarantined', async () => {
    const image = value(await storeImage(source, store, [key]));
    await rm(image.main);
    const program = await readFile(join(source, 'main.mjs'), 'utf8');
    await appendFile(image.main, `${program}\n// one line more\n`);
    await start(image);
    expect(sensorStatus()).toMatchObject({ state: 'quarantined' });
  });

  test('a killed issuer comes back, is told of the living again, and still knows them', async () => {
    await start(value(await storeImage(source, store, [key])));
    const before = await issued();
    const pid = supervisor.process('issuer')?.pid;
    if (pid === undefined) throw new Error('no issuer');
    const back = Promise.withResolvers<void>();
    supervisor.onEvent((event) => {
      if (event.name === 'issuer' && event.type === 'ready') back.resolve();
    });
    process.kill(pid, 'SIGKILL');
    await back.promise;
    const again = Promise.withResolvers<string>();
    link.onEvent((event) => {
      if (event.event === 'issued' && event.spiffeId === MEMBER.id) again.resolve(event.serial);
    });
    // The sensor that lived through it renews at the new issuer, although nobody started it anew.
    expect(await again.promise).not.toBe(before?.serial);
    expect(sensorStatus()).toMatchObject({ state: 'ready', restarts: 0, pid: before?.pid });
  });

  test('an issuer whose link ends does too, and the next one is told of the living', async () => {
    await start(value(await storeImage(source, store, [key])));
    const before = await issued();
    const [ended, back] = [Promise.withResolvers<string>(), Promise.withResolvers<void>()];
    supervisor.onEvent((event) => {
      if (event.name !== 'issuer') return;
      if (event.type === 'exited') ended.resolve(event.detail);
      if (event.type === 'ready') back.resolve();
    });
    supervisor.process('issuer')?.link?.destroy();
    expect(await ended.promise).toMatch(/^LINK_CLOSED: /);
    await back.promise;
    const again = Promise.withResolvers<string>();
    link.onEvent((event) => {
      if (event.event === 'issued' && event.spiffeId === MEMBER.id) again.resolve(event.serial);
    });
    expect(await again.promise).not.toBe(before?.serial);
    expect(sensorStatus()).toMatchObject({ state: 'ready', restarts: 0, pid: before?.pid });
    // An orderly stop is none of this.
    const events: string[] = [];
    supervisor.onEvent((event) => {
      if (event.type === 'exited') events.push(`${event.name} ${event.expected} ${event.code}`);
    });
    await supervisor.stop();
    expect(events).toContain('issuer true 0');
  });
});
