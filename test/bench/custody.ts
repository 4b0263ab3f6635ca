import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { formatEvidenceLine } from '#custody/evidence/format.ts';
import { formatTrust, type Trust } from '#custody/evidence/trust.ts';
import { type ExportedEntry, evidenceParts } from '#custody/evidence/write.ts';
import { leafOf, leafText } from '#custody/ledger/leaf.ts';
import {
  addCosignature,
  cosign,
  formatCheckpoint,
  signCheckpoint,
} from '#custody/log/checkpoint.ts';
import { createNoteSigner, type KeyUse, privateKeyFromSeed } from '#custody/log/keys.ts';
import { createMemoryHashStore, createMerkleTree } from '#custody/log/merkle.ts';
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
import type { BenchResult } from './record.ts';

const SENSOR = spiffeId('spiffe://city.example/agent/sensor/north/cam-1');
const ANALYZER = spiffeId('spiffe://city.example/agent/analyzer/north/analyzer-1');
const ORIGIN = 'city.example/ledger';
const BATCH = 64;
const ROUNDS = 5;
const MESSAGES = 2048;

/** Costs of records, tree, witnesses and offline verification, on one thread. */
export async function benchCustody(): Promise<BenchResult[]> {
  return [...(await benchBatches()), ...benchLog(), ...(await benchEvidence())];
}

async function world() {
  const ca = await createTestCa('city.example');
  const svid = await ca.issue(SENSOR);
  const bundles = bundleSet(ca);
  const clock = () => Date.now();
  const signer = createRecordSigner({ source: () => svid, clock, random: randomBytes });
  return { ca, svid, bundles, clock, signer };
}

const draft = (payload: Uint8Array) => ({
  aud: ['spiffe://city.example/agent/analyzer/north/*'],
  sbj: 'north.reading.sensor-cam-1',
  knd: 'root' as const,
  payload,
});

async function benchBatches(): Promise<BenchResult[]> {
  const { bundles, clock, signer } = await world();
  const svids = createSvidCache({ verify: (chain, at) => verifyX509Svid(chain, bundles, at) });
  const results: BenchResult[] = [];
  for (const bytes of [256, 1024]) {
    const payload = randomBytes(bytes);
    const replays = createReplayCache({ clock, maxPerSender: 1_000_000 });
    const facts = { replays, sequences: createSequenceTracker(), batches: createBatchCache() };
    const accept = ({ jws, salt, chain }: SignedRecord) => {
      const record = parseRecord(jws);
      if (!record.ok) throw new Error(record.code);
      const svid = svids.resolve(record.value.thumbprint, chain, new Date());
      if (!svid.ok) throw new Error(svid.code);
      const { subject, reply } = { subject: 'north.reading.sensor-cam-1', reply: null };
      const given = {
        ...facts,
        svid: svid.value,
        now: Date.now(),
        receiverStart: 0,
        self: ANALYZER,
      };
      const checked = checkRecord(record.value, { ...given, subject, reply, payload, salt });
      if (!checked.ok) throw new Error(checked.code);
    };
    const times = {
      sign: [] as number[],
      accept: [] as number[],
      one: [] as number[],
      take: [] as number[],
    };
    let size = 0;
    let single = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const records: SignedRecord[] = [];
      const singles: SignedRecord[] = [];
      times.one.push(
        micros(MESSAGES, () => {
          for (let at = 0; at < MESSAGES; at++) singles.push(signer.sign(draft(payload)));
        }),
      );
      times.take.push(micros(MESSAGES, () => singles.forEach(accept)));
      times.sign.push(
        micros(MESSAGES, () => {
          for (let at = 0; at < MESSAGES; at += BATCH) {
            records.push(...signer.signBatch(Array.from({ length: BATCH }, () => draft(payload))));
          }
        }),
      );
      times.accept.push(micros(MESSAGES, () => records.forEach(accept)));
      size = records.reduce((sum, { jws }) => sum + jws.length, 0) / records.length;
      single = singles.reduce((sum, { jws }) => sum + jws.length, 0) / singles.length;
    }
    const of = `${bytes} B payload`;
    results.push(
      { name: `record sign, single, ${of}`, value: median(times.one), unit: 'µs' },
      { name: `record sign, batches of ${BATCH}, ${of}`, value: median(times.sign), unit: 'µs' },
      { name: `record accept, single, ${of}`, value: median(times.take), unit: 'µs' },
      {
        name: `record accept, batches of ${BATCH}, ${of}`,
        value: median(times.accept),
        unit: 'µs',
      },
    );
    if (bytes === 256) {
      results.push(
        { name: 'record size, single', value: single, unit: 'B' },
        { name: `record size, batches of ${BATCH}`, value: size, unit: 'B' },
      );
    }
  }
  return results;
}

function noteSigner(name: string, use: KeyUse) {
  return createNoteSigner({ name, use, key: privateKeyFromSeed(randomBytes(32)) });
}
const log = noteSigner(ORIGIN, 'note');
const witnesses = ['w1', 'w2'].map((name) => noteSigner(`city.example/${name}`, 'cosignature'));

function benchLog(): BenchResult[] {
  const tree = createMerkleTree(createMemoryHashStore());
  const entry = randomBytes(900);
  const size = 100_000;
  const append = micros(size, () => {
    for (let at = 0; at < size; at++) tree.append(entry);
  });
  const proof = micros(2000, () => {
    for (let at = 0; at < 2000; at++) tree.inclusion(at * 37, size - at);
  });
  const head = micros(500, () => {
    for (let at = 0; at < 500; at++)
      signCheckpoint({ origin: ORIGIN, size, root: tree.root() }, log);
  });
  return [
    { name: 'tree append, 900 B entry', value: append, unit: 'µs' },
    { name: 'inclusion proof out of 100,000', value: proof, unit: 'µs' },
    { name: 'checkpoint: root and signature at 100,000', value: head, unit: 'µs' },
  ];
}

/** Offline verification of many records: one file of lines, read in chunks. */
async function benchEvidence(): Promise<BenchResult[]> {
  const { ca, svid } = await world();
  const now = Math.floor(Date.now() / 1000);
  // Time stands still: making 100,000 records takes longer than a record may wait for witnesses.
  const signer = createRecordSigner({
    source: () => svid,
    clock: () => now * 1000,
    random: randomBytes,
  });
  const folder = mkdtempSync(join(tmpdir(), 'swarmproof-bench-'));
  const results: BenchResult[] = [];
  try {
    for (const count of [10, 1000, 100_000]) {
      const tree = createMerkleTree(createMemoryHashStore());
      const entries: ExportedEntry[] = [];
      for (let index = 0; index < count; index++) {
        const payload = randomBytes(256);
        const { jws, salt, claims } = signer.sign(draft(payload));
        const record = parseRecord(jws);
        if (!record.ok) throw new Error(record.code);
        const carried = { salt, payload, chain: undefined, by: claims.iss, record: record.value };
        const entry = { type: 'record' as const, index, at: now * 1000, ...carried };
        entries.push(entry);
        tree.append(leafText(leafOf(entry)));
      }
      const head = { origin: ORIGIN, size: count, root: tree.root() };
      const text = formatCheckpoint(head);
      const note = witnesses.reduce(
        (sum, witness) => addCosignature(sum, cosign(text, witness, now + 1)),
        signCheckpoint(head, log),
      );
      const header = { origin: ORIGIN, range: { from: 0, to: count } };
      const chainOf = () => svid.certificates;
      const file = join(folder, `${count}.jsonl`);
      let bytes = 0;
      let lines = '';
      writeFileSync(file, '');
      for (const part of evidenceParts({ header, entries, tree, checkpoints: [note], chainOf })) {
        lines += formatEvidenceLine(part);
        if (lines.length < 1_000_000) continue;
        bytes += Buffer.byteLength(lines);
        writeFileSync(file, lines, { flag: 'a' });
        lines = '';
      }
      bytes += Buffer.byteLength(lines);
      writeFileSync(file, lines, { flag: 'a' });
      entries.length = 0;
      const [root] = ca.bundle.authorities;
      if (root === undefined) throw new Error('no root');
      const trust: Trust = {
        roots: [{ trustDomain: 'city.example', certificate: root.raw }],
        log: {
          origin: ORIGIN,
          log: [log.verifier],
          witnesses: witnesses.map(({ verifier }) => verifier),
          quorum: 2,
        },
      };
      const { wall, cpu, memory } = timeVerification(file, trust, count);
      const name = `evidence of ${count.toLocaleString('en')} records`;
      results.push(
        { name: `${name}: verified in`, value: wall, unit: 's' },
        { name: `${name}: of processor time`, value: cpu, unit: 's' },
        { name: `${name}: most memory beyond the start`, value: memory, unit: 'MiB' },
        { name: `${name}: file, per record`, value: bytes / count, unit: 'B' },
      );
    }
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
  return results;
}

const CHILD = fileURLToPath(new URL('verify-evidence.ts', import.meta.url));

function timeVerification(path: string, trust: Trust, count: number) {
  const trustFile = `${path}.trust`;
  writeFileSync(trustFile, formatTrust(trust));
  const args = ['--disable-warning=ExperimentalWarning', CHILD, path, trustFile];
  const { stdout } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  const result = JSON.parse(stdout);
  if (result.overall !== 'proven' || result.genuine !== count) {
    throw new Error(`bench: ${result.overall}, ${result.genuine} genuine`);
  }
  return result as { readonly wall: number; readonly cpu: number; readonly memory: number };
}

/** Processor time per run: the machine's other work is not measured. */
function micros(runs: number, work: () => void): number {
  const start = process.cpuUsage();
  work();
  const { user, system } = process.cpuUsage(start);
  return (user + system) / runs;
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
