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
import { createMemoryHashStore, createMerkleTree } from '#custody/log/merkle.ts';
import { parseRecord } from '#custody/record/parse.ts';
import { createRecordSigner } from '#custody/record/sign.ts';
import { log, ORIGIN, witnesses } from './log.ts';
import type { BenchResult } from './measure.ts';
import { draft, world } from './records.ts';

/** Offline verification of many records: one file of lines, read in chunks. */
export async function benchEvidence(): Promise<BenchResult[]> {
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
    for (const count of [10, 1000, 10_000, 100_000]) {
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

const CHILD = fileURLToPath(new URL('../verify-evidence.ts', import.meta.url));

function timeVerification(path: string, trust: Trust, count: number) {
  const trustFile = `${path}.trust`;
  writeFileSync(trustFile, formatTrust(trust));
  // As `cli/swarmproof.mjs` starts the command.
  const flags = ['--disable-warning=ExperimentalWarning', '--max-semi-space-size=16'];
  const args = [...flags, CHILD, path, trustFile];
  const { stdout } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  const result = JSON.parse(stdout);
  if (result.overall !== 'proven' || result.genuine !== count) {
    throw new Error(`bench: ${result.overall}, ${result.genuine} genuine`);
  }
  return result as { readonly wall: number; readonly cpu: number; readonly memory: number };
}
