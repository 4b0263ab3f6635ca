// `verify-evidence.ts EVIDENCE TRUST`: verifies one file in a process of its own, so that its memory
// is that of the verification alone, and says what it took.
import { createReadStream, readFileSync } from 'node:fs';
import { parseTrust } from '#custody/evidence/trust.ts';
import { verifyChunks } from '#custody/evidence/verify.ts';

const [evidence = '', trustFile = ''] = process.argv.slice(2);
const trust = parseTrust(readFileSync(trustFile, 'utf8'));
if (!trust.ok) throw new Error(trust.detail);
const before = process.memoryUsage().rss;
const start = performance.now();
const cpu = process.cpuUsage();
const chunks = createReadStream(evidence, { highWaterMark: 65_536 });
const verdict = await verifyChunks(chunks, trust.value);
const { user, system } = process.cpuUsage(cpu);
const result = {
  overall: verdict.overall,
  genuine: verdict.counts.genuine,
  wall: (performance.now() - start) / 1000,
  cpu: (user + system) / 1_000_000,
  memory: (mostMemory() - before) / 1_048_576,
};
process.stdout.write(JSON.stringify(result));

/** Bytes. `maxRSS` of a spawned process begins with what its parent had when it spawned it. */
function mostMemory(): number {
  if (process.platform !== 'linux') return process.resourceUsage().maxRSS * 1024;
  const [, kilobytes] =
    /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  return Number(kilobytes) * 1024;
}
