import type { ClientHttp2Session } from 'node:http2';
import { setTimeout as pause } from 'node:timers/promises';
import { create } from '@bufbuild/protobuf';
import { JWTSVIDRequestSchema } from '#identity/workload-api/generated/workload_pb.ts';
import { pssKiB } from '#runtime/process-info.ts';
import {
  call,
  encode,
  openSession,
  type RawCall,
  readSvids,
} from '#test/identity/issuer/raw-client.ts';
import type { Measure } from '../bus.ts';

/**
 * What is measured alike of every Workload API, whoever serves it: one client, one unit, one name a
 * figure, so that two servers can be told from each other by nothing but the value.
 */

/** Enough that a program that is compiled while it runs has been. */
const CONNECTIONS = 1000;
/** Below what one process may have of our issuer in a minute. */
const TOKENS = 500;
const TOKENS_AT_A_TIME = 8;
const STREAMS = 1008;
const STREAMS_PER_CONNECTION = 16;
const HEADER = { 'workload.spiffe.io': 'true' };

export const perSecond = (count: number, since: number): number =>
  (count * 1000) / (performance.now() - since);

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/**
 * Times one entry after the other, each by itself: from before it is added until a stream brings its
 * SVID. They come apart from each other, as an operator's do, and not at a beat of any server's own.
 * @param add adds the entry of this SPIFFE ID path, and resolves when the server has taken it
 * @param limitMs what is not here by then is not waited for
 */
export async function additions(
  socket: string,
  options: {
    readonly entries: number;
    readonly apartMs: readonly [least: number, most: number];
    readonly limitMs: number;
    readonly trustDomain: string;
    readonly add: (path: string) => Promise<unknown>;
    /** After its SVID came; that of one is not to grow with those before. */
    readonly seen?: (path: string) => void;
  },
): Promise<Measure[]> {
  const { entries, limitMs, trustDomain } = options;
  const [least, most] = options.apartMs;
  const session = openSession(socket);
  const stream = call(session, 'FetchX509SVID');
  await stream.next();
  const began = new Map<string, number>();
  const times: number[] = [];
  const reading = async (): Promise<void> => {
    while (times.length < entries) {
      const message = await stream.next();
      const now = performance.now();
      // The time was over.
      if (message === undefined) return;
      for (const { id } of readSvids(message)) {
        const since = began.get(id);
        if (since === undefined || !began.delete(id)) continue;
        times.push(now - since);
        options.seen?.(id.slice(`spiffe://${trustDomain}`.length));
      }
    }
  };
  const late = setTimeout(() => stream.cancel(), limitMs);
  const adding = async (): Promise<void> => {
    for (let index = 0; index < entries; index += 1) {
      await pause(least + Math.random() * (most - least));
      const path = `/job/${index}`;
      began.set(`spiffe://${trustDomain}${path}`, performance.now());
      await options.add(path);
    }
  };
  await Promise.all([reading(), adding()]);
  clearTimeout(late);
  session.destroy();
  if (times.length === 0) throw new Error(`no entry came through within ${limitMs / 1000} s`);
  if (times.length < entries) {
    process.stdout.write(`  ${entries - times.length} of ${entries} entries came too late\n`);
  }
  return entryToSvid(times);
}

/** @param times in milliseconds, in any order */
function entryToSvid(times: readonly number[]): Measure[] {
  const sorted = times.toSorted((a, b) => a - b);
  return [
    {
      name: 'entry added → SVID on an open stream, p50',
      value: percentile(sorted, 0.5),
      unit: 'ms',
    },
    {
      name: 'entry added → SVID on an open stream, p99',
      value: percentile(sorted, 0.99),
      unit: 'ms',
    },
  ];
}

/** A new connection and a new stream each, until its first answer. The caller has one identity. */
export async function firstAnswers(socket: string): Promise<Measure[]> {
  const since = performance.now();
  for (let index = 0; index < CONNECTIONS; index += 1) {
    const one = openSession(socket);
    const answer = await call(one, 'FetchX509SVID').next();
    one.destroy();
    if (answer === undefined) throw new Error('no SVID');
  }
  return [
    {
      name: 'connect, be attested, have the SVID that there is; one at a time',
      value: perSecond(CONNECTIONS, since),
      unit: '/s',
    },
  ];
}

/** An audience of its own for each, so that no server can answer from what it has. */
export async function jwtSvids(socket: string): Promise<Measure[]> {
  const session = openSession(socket);
  let asked = 0;
  const asking = async (): Promise<void> => {
    while (asked < TOKENS) {
      asked += 1;
      const request = create(JWTSVIDRequestSchema, { audience: [`audience-${asked}`] });
      const one = call(session, 'FetchJWTSVID', HEADER, encode(JWTSVIDRequestSchema, request));
      if ((await one.next()) === undefined) throw new Error(`no token: ${await one.status}`);
    }
  };
  const since = performance.now();
  await Promise.all(Array.from({ length: TOKENS_AT_A_TIME }, asking));
  const value = perSecond(TOKENS, since);
  session.destroy();
  return [
    {
      name: `JWT-SVIDs by the socket, attested each, ${TOKENS_AT_A_TIME} at a time`,
      value,
      unit: '/s',
    },
  ];
}

/** The next message that is not the one before: a server may say again what it has said. */
async function changed(stream: RawCall, before: Buffer): Promise<number> {
  for (;;) {
    const message = await stream.next();
    if (message === undefined) throw new Error('a stream ended');
    if (!message.equals(before)) return performance.now();
  }
}

/**
 * As many streams as one process may have of our issuer; each is served anew when the one entry
 * changes.
 * @param change resolves when the server has taken the change
 * @param signal ends the streams, and with them the measurement
 */
export async function manyStreams(
  socket: string,
  pid: number,
  change: () => Promise<void>,
  signal: AbortSignal,
): Promise<Measure[]> {
  const sessions: ClientHttp2Session[] = [];
  signal.addEventListener('abort', () => {
    for (const session of sessions) session.destroy();
  });
  try {
    return await renewedAtOnce(socket, pid, change, sessions);
  } finally {
    for (const session of sessions) session.destroy();
  }
}

async function renewedAtOnce(
  socket: string,
  pid: number,
  change: () => Promise<void>,
  sessions: ClientHttp2Session[],
): Promise<Measure[]> {
  const before = pssKiB(pid) ?? Number.NaN;
  const held: { readonly stream: RawCall; readonly first: Buffer }[] = [];
  while (held.length < STREAMS) {
    // One connection after the other: a SPIRE agent stands still when all come at once.
    const session = openSession(socket);
    sessions.push(session);
    const streams = Array.from({ length: STREAMS_PER_CONNECTION }, async () => {
      const stream = call(session, 'FetchX509SVID');
      const first = await stream.next();
      if (first === undefined) throw new Error(`a stream ended: ${await stream.status}`);
      return { stream, first };
    });
    held.push(...(await Promise.all(streams)));
  }
  const perStream = ((pssKiB(pid) ?? Number.NaN) - before) / STREAMS;
  const since = performance.now();
  const pushes = held.map(({ stream, first }) => changed(stream, first));
  const [times] = await Promise.all([Promise.all(pushes), change()]);
  const last = Math.max(...times);
  return [
    {
      name: `${STREAMS} streams of one workload renewed at once: the last has its SVID after`,
      value: last - since,
      unit: 'ms',
    },
    {
      name: `${STREAMS} streams of one workload renewed at once: from the first push to the last`,
      value: last - Math.min(...times),
      unit: 'ms',
    },
    {
      name: `memory of the process that serves, per stream, of ${STREAMS}`,
      value: perStream,
      unit: 'KiB',
    },
  ];
}
