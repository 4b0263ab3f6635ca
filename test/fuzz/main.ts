/**
 * Long fuzzing: `npm run fuzz -- [--seconds N] [--seed N] [--target NAME] [--case N]`. Each target gets
 * its share of the time. Exit code 1, with seed and input, at the first thing that does not hold.
 */
import { parseArgs } from 'node:util';
import { evidenceTargets } from './evidence.ts';
import { serverTargets } from './server.ts';
import { describeFailure, fuzz, runCase } from './target.ts';
import { identityTargets } from './targets.ts';

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '120' },
    seed: { type: 'string' },
    target: { type: 'string' },
    case: { type: 'string' },
  },
});
const all = [...(await identityTargets()), ...serverTargets(), ...evidenceTargets()];
const targets = all.filter(({ name }) => values.target === undefined || name === values.target);
const [only] = targets;
if (only === undefined) {
  throw new Error(
    `no target ${values.target}; there are ${all.map(({ name }) => name).join(', ')}`,
  );
}

if (values.case !== undefined) {
  const failure = runCase(only, Number(values.case));
  process.stdout.write(failure === undefined ? 'holds\n' : `${describeFailure(failure)}\n`);
  process.exitCode = failure === undefined ? 0 : 1;
} else {
  const seed = values.seed === undefined ? Date.now() >>> 0 : Number(values.seed);
  const share = (Number(values.seconds) * 1000) / targets.length;
  process.stdout.write(
    `seed ${seed}, ${Math.round(share)} ms for each of ${targets.length} targets\n`,
  );
  for (const target of targets) {
    const end = performance.now() + share;
    const { done, failure } = fuzz(target, seed, () => performance.now() < end);
    const used = Math.round(process.memoryUsage().rss / 2 ** 20);
    process.stdout.write(`${target.name}: ${done} cases, ${used} MiB resident\n`);
    if (failure === undefined) continue;
    process.stderr.write(`seed ${seed}\n${describeFailure(failure)}\n`);
    process.exitCode = 1;
    break;
  }
}
