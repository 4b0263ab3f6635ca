import { randomBytes } from 'node:crypto';
import { encodeHeaders } from '#custody/headers.ts';
import { createBatchCache } from '#custody/record/batch.ts';
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
import { type BenchResult, median, micros, row } from './measure.ts';

export const BATCH = 64;
const SENSOR = spiffeId('spiffe://city.example/agent/sensor/north/cam-1');
const ANALYZER = spiffeId('spiffe://city.example/agent/analyzer/north/analyzer-1');
const SUBJECT = 'north.reading.sensor-cam-1';
const ROUNDS = 9;
/** Not counted: the code is compiled meanwhile. */
const WARM = 2;
const MESSAGES = 2048;

export const draft = (payload: Uint8Array) => ({
  aud: ['spiffe://city.example/agent/analyzer/north/*'],
  sbj: SUBJECT,
  knd: 'root' as const,
  payload,
});

export async function world() {
  const ca = await createTestCa('city.example');
  return { ca, svid: await ca.issue(SENSOR), bundles: bundleSet(ca) };
}

/** What a message carries beside its payload: names and values of its headers, and their ends. */
function headerBytes(record: SignedRecord): number {
  const lines = encodeHeaders(record, { chain: false }).map(([name, value]) => `${name}: ${value}`);
  return `NATS/1.0\r\n${lines.join('\r\n')}\r\n\r\n`.length;
}

const mean = (values: readonly number[]) => values.reduce((sum, n) => sum + n, 0) / values.length;

/** One record by itself and in batches: what it costs who sends and who receives. */
export async function benchRecords(): Promise<BenchResult[]> {
  const { svid, bundles } = await world();
  const clock = () => Date.now();
  const signer = createRecordSigner({ source: () => svid, clock, random: randomBytes });
  const svids = createSvidCache({ verify: (chain, at) => verifyX509Svid(chain, bundles, at) });
  const results: BenchResult[] = [];
  for (const bytes of [256, 1024]) {
    const payload = randomBytes(bytes);
    const batches = createBatchCache();
    const replays = createReplayCache({ clock, maxPerSender: 1_000_000 });
    const facts = { replays, sequences: createSequenceTracker(), batches };
    const accept = ({ jws, salt, chain }: SignedRecord) => {
      const record = parseRecord(jws, batches);
      if (!record.ok) throw new Error(record.code);
      const known = svids.resolve(record.value.thumbprint, chain, new Date());
      if (!known.ok) throw new Error(known.code);
      const checked = checkRecord(record.value, {
        ...facts,
        svid: known.value,
        now: Date.now(),
        receiverStart: 0,
        self: ANALYZER,
        subject: SUBJECT,
        reply: null,
        payload,
        salt,
      });
      if (!checked.ok) throw new Error(checked.code);
    };
    const ways = {
      single: () => Array.from({ length: BATCH }, () => signer.sign(draft(payload))),
      batch: () => signer.signBatch(Array.from({ length: BATCH }, () => draft(payload))),
    };
    for (const [way, make] of Object.entries(ways)) {
      const cost = { sign: [] as number[], accept: [] as number[] };
      let sizes: number[] = [];
      for (let round = 0; round < WARM + ROUNDS; round++) {
        const records: SignedRecord[] = [];
        cost.sign.push(
          micros(MESSAGES, () => {
            while (records.length < MESSAGES) records.push(...make());
          }),
        );
        cost.accept.push(micros(MESSAGES, () => records.forEach(accept)));
        sizes = records.map(headerBytes);
      }
      const [sign, take] = [median(cost.sign.slice(WARM)), median(cost.accept.slice(WARM))];
      const of = `${way === 'single' ? 'single' : `batches of ${BATCH}`}, ${bytes} B payload`;
      results.push(
        row(`record sign, ${of}`, sign, 'µs'),
        row(`record accept, ${of}`, take, 'µs'),
        row(`signed and accepted by one core, ${of}`, 1e6 / (sign + take), '1/s'),
      );
      if (bytes === 256) results.push(row(`bytes beside the payload, ${way}`, mean(sizes), 'B'));
    }
  }
  return results;
}
