import { randomBytes } from 'node:crypto';
import { checkRecord } from '#custody/record/check.ts';
import { parseRecord } from '#custody/record/parse.ts';
import { createReplayCache } from '#custody/record/replay.ts';
import { createSequenceTracker } from '#custody/record/sequence.ts';
import { createRecordSigner } from '#custody/record/sign.ts';
import type { SignedRecord } from '#custody/record.ts';
import { createSvidCache } from '#custody/svid-cache.ts';
import { spiffeId } from '#identity/spiffe-id.ts';
import { verifyX509Svid } from '#identity/x509/verify.ts';
import { bundleSet, createTestCa } from '#test/support/test-ca.ts';

export interface BenchResult {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
}

const SENSOR = spiffeId('spiffe://city.example/agent/sensor/north/cam-1');
const ANALYZER = spiffeId('spiffe://city.example/agent/analyzer/north/analyzer-1');
const ROUNDS = 5;
const RECORDS = 2000;

/** Costs of one custody record on one thread, 1 KiB payload: the median of five rounds. */
export async function benchRecord(): Promise<BenchResult[]> {
  const ca = await createTestCa('city.example');
  const bundles = bundleSet(ca);
  const svid = await ca.issue(SENSOR);
  const clock = () => Date.now();
  const svids = createSvidCache({
    verify: (chain, at) => verifyX509Svid(chain, bundles, at),
  });
  const payload = randomBytes(1024);
  const signer = createRecordSigner({ source: () => svid, clock, random: randomBytes });
  const replays = createReplayCache({ clock, maxPerSender: 1_000_000 });
  const sequences = createSequenceTracker();
  const draft = {
    aud: ['spiffe://city.example/agent/analyzer/north/*'],
    sbj: 'north.reading.sensor-cam-1',
    knd: 'root' as const,
    payload,
  };

  function receive({ jws, salt, chain }: SignedRecord): void {
    const record = parseRecord(jws);
    if (!record.ok) throw new Error(record.code);
    const verified = svids.resolve(record.value.thumbprint, chain, new Date());
    if (!verified.ok) throw new Error(verified.code);
    const checked = checkRecord(record.value, {
      svid: verified.value,
      now: Date.now(),
      receiverStart: 0,
      self: ANALYZER,
      subject: draft.sbj,
      reply: null,
      payload,
      salt,
      replays,
      sequences,
    });
    if (!checked.ok) throw new Error(checked.code);
  }

  const times = { sign: [] as number[], receive: [] as number[], cold: [] as number[] };
  const malformed = new Map<string, number[]>();
  const cases = malformedOf(signer.sign(draft).jws);
  for (let round = 0; round < ROUNDS; round++) {
    const signed: SignedRecord[] = [];
    times.sign.push(perRun(RECORDS, () => signed.push(signer.sign(draft))));
    const next = signed.values();
    times.receive.push(perRun(RECORDS, () => receive(next.next().value as SignedRecord)));
    const more = Array.from({ length: 100 }, () => signer.sign(draft)).values();
    times.cold.push(
      perRun(100, () => {
        svids.flush();
        receive(more.next().value as SignedRecord);
      }),
    );
    for (const [name, jws] of cases) {
      const runs = malformed.get(name) ?? [];
      runs.push(perRun(RECORDS, () => parseRecord(jws)));
      malformed.set(name, runs);
    }
  }
  const record = signer.sign(draft);
  return [
    { name: 'record sign', value: median(times.sign), unit: 'µs' },
    { name: 'record accept, cached certificate', value: median(times.receive), unit: 'µs' },
    { name: 'record accept, cold chain', value: median(times.cold), unit: 'µs' },
    ...[...malformed].map(([name, runs]) => ({
      name: `record refused, ${name}`,
      value: median(runs),
      unit: 'µs',
    })),
    { name: 'record size, no cause', value: record.jws.length, unit: 'B' },
  ];
}

function malformedOf(jws: string): readonly (readonly [string, string])[] {
  const [, claims = '', signature = ''] = jws.split('.');
  const none = Buffer.from('{"alg":"none","typ":"custody+jwt"}').toString('base64url');
  const [header = ''] = jws.split('.');
  const spaced = Buffer.from(` ${Buffer.from(claims, 'base64url')}`).toString('base64url');
  return [
    ['not a record', 'x'.repeat(800)],
    ['alg none', `${none}.${claims}.`],
    ['claims not canonical', `${header}.${spaced}.${signature}`],
  ];
}

/** µs per run. */
function perRun(runs: number, work: () => unknown): number {
  const start = process.hrtime.bigint();
  for (let run = 0; run < runs; run++) work();
  return Number(process.hrtime.bigint() - start) / 1000 / runs;
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return Math.round((sorted[Math.floor(sorted.length / 2)] ?? Number.NaN) * 10) / 10;
}
