import { cpus, loadavg } from 'node:os';
import { benchBus, type Measure } from './bus.ts';
import { benchInclusion } from './custody/inclusion.ts';
import { benchCustody } from './custody.ts';
import { benchIdentity } from './identity.ts';
import { benchIssuance } from './issuance.ts';
import { benchLlmCall } from './llm-call.ts';
import { benchPolicy } from './policy.ts';
import { benchRecord } from './record.ts';
import { benchServices } from './services.ts';
import { benchSwarm } from './swarm.ts';
import { benchTelemetry } from './telemetry.ts';

/** `npm run bench [PART…]`: every figure of one run, one a line; parts by name. */
const PARTS: Readonly<Record<string, () => Promise<Measure[]>>> = {
  identity: benchIdentity,
  record: benchRecord,
  custody: benchCustody,
  inclusion: benchInclusion,
  issuance: benchIssuance,
  policy: benchPolicy,
  services: benchServices,
  'llm-call': benchLlmCall,
  bus: benchBus,
  telemetry: benchTelemetry,
  swarm: benchSwarm,
};

const wanted = process.argv.slice(2);
const unknown = wanted.filter((part) => !(part in PARTS));
if (unknown.length > 0) {
  process.stderr.write(
    `bench: no part ${unknown.join(', ')}; there is ${Object.keys(PARTS).join(', ')}\n`,
  );
  process.exit(2);
}
process.stdout.write(
  `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}, Node ${process.version}, load ${loadavg()[0]?.toFixed(1)}\n`,
);
for (const [part, run] of Object.entries(PARTS)) {
  if (wanted.length > 0 && !wanted.includes(part)) continue;
  process.stdout.write(`\n${part}\n`);
  for (const { name, value, unit } of await run()) {
    const digits = value >= 100 ? 0 : value >= 1 ? 1 : 3;
    process.stdout.write(`  ${name.padEnd(62)} ${value.toFixed(digits).padStart(9)} ${unit}\n`);
  }
  // What else the machine did meanwhile is part of the figures.
  process.stdout.write(`  load ${loadavg()[0]?.toFixed(1)}\n`);
}
