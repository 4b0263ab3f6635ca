import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type BusClient, createBusClient } from '#bus/client/bus-client.ts';
import { connectNats, type NatsConnection } from '#bus/client/nats.ts';
import { createDirectory, type Member } from '#bus/directory.ts';
import type { DoorRefusal } from '#bus/door.ts';
import { svidOf } from '#cli/inject/hold/meet.ts';
import { bundleFromCertificates } from '#identity/bundle.ts';
import { type SpiffeId, spiffeId } from '#identity/spiffe-id.ts';
import type { X509Svid } from '#identity/svid.ts';
import type { StartMessage } from '#runtime/process-protocol.ts';
import { type TestSource, testSource } from '#test/support/test-ca.ts';

/** An attested agent of the swarm whose identity a test holds: see `programs/foothold.ts`. */
export interface Foothold {
  readonly start: StartMessage;
  readonly self: Member;
  readonly source: TestSource;
  /** Every SVID it was given, oldest first. */
  readonly svids: readonly X509Svid[];
  /** A plain connection to the broker with its identity. */
  connect(source?: TestSource): Promise<NatsConnection>;
  /** A bus client of its identity, with a session of its own. */
  client(): Promise<{ readonly bus: BusClient; readonly refusals: DoorRefusal[] }>;
  /** Lets the agent's own process do something under its own flags; answers what came of it. */
  probe(name: 'read' | 'spawn' | 'connect', argument?: string): Promise<unknown>;
  close(): Promise<void>;
}

export interface Footholds {
  /** Resolves when that agent's process has given its identity away. */
  of(token: string): Promise<Foothold>;
  close(): Promise<void>;
}

interface Told {
  readonly type: string;
  readonly start?: StartMessage;
  readonly answer?: unknown;
  readonly id?: string;
  readonly hint?: string;
  readonly key?: string;
  readonly chain?: readonly string[];
  readonly authorities?: readonly string[];
}

const der = (text: string) => new Uint8Array(Buffer.from(text, 'base64'));

/** Listens where the implants of a run report; to be called before the swarm starts. */
export async function footholds(runPath: string): Promise<Footholds> {
  mkdirSync(runPath, { recursive: true, mode: 0o700 });
  const found = new Map<string, PromiseWithResolvers<Foothold>>();
  const open: Foothold[] = [];
  const place = (token: string) => {
    const held = found.get(token) ?? Promise.withResolvers<Foothold>();
    found.set(token, held);
    return held;
  };
  const server = createServer((socket) => {
    socket.on('error', () => {});
    void meet(socket).then((foothold) => {
      open.push(foothold);
      place(foothold.self.token).resolve(foothold);
    });
  });
  // Implants have uids of their own.
  const path = join(runPath, 'implant.sock');
  server.listen({ path, readableAll: true, writableAll: true });
  await once(server, 'listening');
  return {
    of: (token) => place(token).promise,
    close: async () => {
      await Promise.all(open.map((one) => one.close()));
      server.close();
    },
  };
}

function meet(socket: Socket): Promise<Foothold> {
  const { promise, resolve } = Promise.withResolvers<Foothold>();
  const answers: ((answer: unknown) => void)[] = [];
  const svids: X509Svid[] = [];
  let start: StartMessage | undefined;
  let source: TestSource | undefined;
  createInterface({ input: socket }).on('line', (line) => {
    const told = JSON.parse(line) as Told;
    if (told.type === 'start') start = told.start;
    if (told.type === 'answer') answers.shift()?.(told.answer);
    if (told.type !== 'svid' || start === undefined) return;
    const svid = svidOf(told);
    svids.push(svid);
    if (source !== undefined) {
      source.rotate(svid);
      return;
    }
    const bundle = bundleFromCertificates(start.trustDomain, (told.authorities ?? []).map(der));
    if (!bundle.ok) throw new Error(bundle.detail);
    source = testSource(svid, new Map([[start.trustDomain, bundle.value]]));
    resolve(made({ start, source, svids, socket, answers }));
  });
  return promise;
}

function made(parts: {
  readonly start: StartMessage;
  readonly source: TestSource;
  readonly svids: readonly X509Svid[];
  readonly socket: Socket;
  readonly answers: ((answer: unknown) => void)[];
}): Foothold {
  const { start, source, svids, socket, answers } = parts;
  const { self, natsUrl: url = '', brokerId: broker = '' } = start;
  const brokerId: SpiffeId = spiffeId(broker);
  const closing: (() => Promise<unknown>)[] = [];
  return {
    start,
    self,
    source,
    svids,
    connect: async (from = source) => {
      const random = Math.random;
      const nats = await connectNats({ source: from, url, brokerId, random, clock: Date.now });
      closing.push(() => nats.close());
      return nats;
    },
    client: async () => {
      const refusals: DoorRefusal[] = [];
      const bus = await createBusClient({
        self,
        directory: createDirectory(start.members),
        source,
        url,
        brokerId,
        clock: Date.now,
        random: (size) => randomBytes(size),
        onRefusal: (refusal) => refusals.push(refusal),
      });
      closing.push(() => bus.close());
      return { bus, refusals };
    },
    probe: (probe, argument = '') =>
      new Promise((resolve) => {
        answers.push(resolve);
        socket.write(`${JSON.stringify({ probe, argument })}\n`);
      }),
    close: async () => {
      await Promise.all(closing.map((close) => close()));
      socket.destroy();
    },
  };
}
