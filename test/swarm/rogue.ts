import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { type BusLink, openLink } from '#bus/client/link.ts';
import type { RunningSwarm } from '#cli/wiring/swarm.ts';
import { createRecordSigner } from '#custody/record/sign.ts';
import type { SignedRecord } from '#custody/record.ts';
import { spiffeId } from '#identity/spiffe-id.ts';
import { ACTION, ANALYZER, folder, imagesWith, start, swarmFile } from './city.ts';
import { type Foothold, footholds } from './foothold.ts';
import { publish, readingOf } from './forge.ts';
import { stealAuthority, type Thief } from './thief.ts';

const ROLE = 'spiffe://city.example/agent/analyzer/north/*';

/** A running swarm, somebody who has the authority's key, and code inside of one sensor. */
export interface Scene {
  readonly running: RunningSwarm;
  readonly thief: Thief;
  readonly sensor: Foothold;
  /** Enters the broker as that identity, by a certificate of the thief's own; refused once is refused. */
  enter(id: string): Promise<BusLink>;
  /**
   * The sensor's broker connection carries a reading that the thief has signed as that very sensor.
   * The ledger is given it, too.
   */
  present(): Promise<{ readonly record: SignedRecord; readonly session: string }>;
  close(): Promise<void>;
}

/** @param variant where images are that leave something out; absent: as they are used in earnest */
export async function scene(variant?: (name: string) => string): Promise<Scene> {
  const place = folder();
  const runPath = join(place.path, 'run');
  const program = { sensor: 'test/swarm/programs/sensor.ts' };
  const own = await imagesWith(join(place.path, 'images'), program);
  const source = { kind: 'simulated', rows: 60 };
  const held = await footholds(runPath);
  const running = await start({
    file: swarmFile(place.path, [
      { role: 'sensor', name: 'cam-1', source },
      { role: 'sensor', name: 'implant-1', source },
      ANALYZER,
      ACTION,
    ]),
    runPath,
    imageFolder: (name) =>
      variant === undefined || Object.hasOwn(program, name) ? own(name) : variant(name),
  });
  const sensor = await held.of('sensor-implant-1');
  const { trustDomain } = running.swarm;
  const thief = stealAuthority(trustDomain, running.run.issuer, join(place.path, 'stolen'));
  const { natsUrl: url = '', brokerId = '' } = sensor.start;
  return {
    running,
    thief,
    sensor,
    enter: async (id) => {
      for (;;) {
        try {
          return await openLink({
            source: thief.source(id),
            url,
            brokerId: spiffeId(brokerId),
            random: Math.random,
            clock: Date.now,
            firstConnectMs: 0,
          });
        } catch (error) {
          // An attempt whose two seconds a busy machine took says nothing of what the gate thinks.
          if (/authorization/i.test(String(error))) throw error;
        }
      }
    },
    present: async () => {
      const nats = await sensor.connect();
      const svid = thief.mint(sensor.self.id);
      const random = (size: number) => randomBytes(size);
      const signer = createRecordSigner({ source: () => svid, clock: Date.now, random });
      const subject = `north.reading.${sensor.self.token}`;
      const payload = readingOf(sensor.self.token, 1);
      const record = signer.sign({ aud: [ROLE], sbj: subject, knd: 'root', payload });
      publish(nats, record, payload);
      publish(nats, record, payload, `custody.append.${sensor.self.token}`);
      await nats.flush();
      return { record, session: signer.session };
    },
    close: async () => {
      await held.close();
      await running.stop();
      place.remove();
    },
  };
}
