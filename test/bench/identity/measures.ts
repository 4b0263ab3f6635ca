import type { ClientHttp2Session } from 'node:http2';
import { create } from '@bufbuild/protobuf';
import { JWTSVIDRequestSchema } from '#identity/workload-api/generated/workload_pb.ts';
import { pssKiB } from '#runtime/process-info.ts';
import { call, encode, openSession, type RawCall } from '#test/identity/issuer/raw-client.ts';
import type { Measure } from '../bus.ts';

/**
 * What is measured alike of every Workload API, whoever serves it: one client, one unit, one name a
 * figure, so that two servers can be told from each other by nothing but the value.
 */

const CONNECTIONS = 300;
/** Below what one process may have of our issuer in a minute. */
const TOKENS = 500;
const TOKENS_AT_A_TIME = 8;
const STREAMS = 1000;
const STREAMS_PER_CONNECTION = 16;
/** A stream that is not seen to be renewed must not hold up the rest of the run. */
const RENEWED_WITHIN_MS = 30_000;
const HEADER = { 'workload.spiffe.io': 'true' };

export const perSecond = (count: number, since: number): number =>
  (count * 1000) / (performance.now() - since);

function percentile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** @param times in milliseconds, in any order */
export function entryToSvid(times: readonly number[]): Measure[] {
  const sorted = times.toSorted((a, b) => a - b);
  return [
    { name: 'entry added → SVID in hand, p50', value: percentile(sorted, 0.5), unit: 'ms' },
    { name: 'entry added → SVID in hand, p99', value: percentile(sorted, 0.99), unit: 'ms' },
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
 */
export async function manyStreams(
  socket: string,
  pid: number,
  change: () => Promise<void>,
): Promise<Measure[]> {
  const before = pssKiB(pid) ?? Number.NaN;
  const sessions: ClientHttp2Session[] = [];
  const streams = Array.from({ length: STREAMS }, (_, index) => {
    if (index % STREAMS_PER_CONNECTION === 0) sessions.push(openSession(socket));
    const session = sessions.at(-1);
    if (session === undefined) throw new Error('no session');
    return call(session, 'FetchX509SVID');
  });
  const held = await Promise.all(
    streams.map(async (stream) => {
      const first = await stream.next();
      if (first === undefined) throw new Error(`a stream ended: ${await stream.status}`);
      return { stream, first };
    }),
  );
  const perStream = ((pssKiB(pid) ?? Number.NaN) - before) / STREAMS;
  const since = performance.now();
  const pushes = held.map(({ stream, first }) => changed(stream, first));
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new Error(`not all of ${STREAMS} streams were served anew`)),
    RENEWED_WITHIN_MS,
  );
  const all = Promise.all([Promise.all(pushes), change()]);
  const [times] = await Promise.race([all, late.promise]).finally(() => {
    clearTimeout(timer);
    for (const session of sessions) session.destroy();
    all.catch(() => {});
  });
  const last = Math.max(...times);
  return [
    {
      name: `${STREAMS} streams renewed at once: the last has its SVID after`,
      value: last - since,
      unit: 'ms',
    },
    {
      name: `${STREAMS} streams renewed at once: from the first push to the last`,
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
