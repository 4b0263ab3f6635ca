import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Command } from 'commander';
import { findingSchema } from '#agents/finding.ts';
import { fromBytes } from '#agents/json.ts';
import type { RecordEntry } from '#custody/ledger/entry.ts';
import { pathOf } from '#identity/spiffe-id.ts';
import { CLAIMS, type Claim, observed } from '../demo/claims.ts';
import {
  acknowledgedOf,
  askUnattested,
  isAction,
  isFinding,
  isReading,
  judged,
  readingsOf,
  renewal,
} from '../demo/observations.ts';
import { leftBehind } from '../demo/remains.ts';
import { type Interrupt, onInterrupt } from '../interrupt.ts';
import { orderOf, readingValue } from '../narration.ts';
import { paint, print, printJson, UserError } from '../output.ts';
import { ancestryLines } from '../story/ancestry.ts';
import { buildImages } from '../wiring/images.ts';
import { type RunningSwarm, startSwarm } from '../wiring/swarm.ts';
import { observeWorksState } from '../wiring/works-observer.ts';
import { DEFAULT_SWARM, environment, globals, runsFolder } from './options.ts';

/** Starting on a slow disk and the first incident of the smart city, with room. */
const WAIT_MS = 60_000;

/** `swarmproof demo`: the smart city on built-in data; every line is told by an observation. */
export function demoCommand(): Command {
  return new Command('demo')
    .description('bring up the smart city, let it act, and prove who did it')
    .option('--json', 'the claims and what was observed, as JSON')
    .action(async (options: { json?: boolean }, command: Command) => {
      const { natsServer, opa } = environment();
      const say = options.json === true ? () => {} : print;
      const interrupt = onInterrupt();
      await buildImages((line) => say(paint('dim', line)));
      const began = performance.now();
      const runId = `demo-${process.pid}`;
      const runPath = join(runsFolder(globals(command)), runId);
      const running = await startSwarm({
        file: DEFAULT_SWARM,
        inputs: [],
        runPath,
        runId,
        natsServer,
        opa,
        signal: interrupt.signal,
      });
      const seen: Partial<Record<Claim, string>> = {};
      const story = createStory(running, began, say, seen);
      const pids = running
        .status()
        .processes.flatMap(({ pid }) => (pid === undefined ? [] : [pid]));
      try {
        await tell(running, interrupt, story);
      } finally {
        await running.stop();
      }
      const remains = leftBehind(pids, running.run);
      if (remains.length > 0) throw new UserError(`left behind: ${remains.join(', ')}`);
      story.note('stopped', `${pids.length} processes ended, no socket left`);
      await rm(runPath, { recursive: true, force: true });
      finish(seen, began, options.json === true);
    });
}

interface Story {
  line(what: string, who: string, text: string): void;
  note(claim: Claim, what: string): void;
  readonly say: (line?: string) => void;
}

function createStory(
  running: RunningSwarm,
  began: number,
  say: (line?: string) => void,
  seen: Partial<Record<Claim, string>>,
): Story {
  const started = performance.now();
  const { processes } = running.status();
  const bare = processes.filter(
    ({ state, serial, name }) =>
      state !== 'ready' || (serial === undefined && name !== 'issuer' && name !== 'nats'),
  );
  if (bare.length > 0) {
    throw new UserError(
      `not observed: ${CLAIMS.ready} (${bare.map(({ name }) => name).join(', ')})`,
    );
  }
  const seconds = ((started - began) / 1000).toFixed(1);
  say(
    `${paint('bold', 'Swarmproof')}: smart city    ${processes.length} processes, each with its own SVID    ready in ${seconds} s`,
  );
  seen.ready = `${processes.length} processes`;
  return {
    say,
    line: (what, who, text) => {
      const since = Math.floor((performance.now() - started) / 1000);
      const at = `${Math.floor(since / 60)}:${String(since % 60).padStart(2, '0')}`;
      say(`${at} ${paint('cyan', what.padEnd(8))} ${who.padEnd(11)} ${text}`);
    },
    note: (claim, what) => {
      seen[claim] = what;
    },
  };
}

const nameOf = (entry: RecordEntry): string =>
  pathOf(entry.record.claims.iss).split('/').at(-1) ?? '';

async function tell(running: RunningSwarm, interrupt: Interrupt, story: Story): Promise<void> {
  const { ledger, swarm } = running;
  const { signal } = interrupt;
  const sensor = swarm.agents.find(({ config }) => 'source' in Object(config))?.member;
  if (sensor === undefined) throw new UserError('the swarm of the demo has no sensor');
  story.say(paint('dim', `${sensor.id}   attested, renews every ${swarm.svidTtlSeconds / 2} s`));
  story.say();
  const renewed = renewal(running, sensor.id);

  const reading = await observed(
    'reading',
    ledger.entry((entry) => isReading(entry) && entry.record.claims.iss === sensor.id),
    WAIT_MS,
    signal,
  );
  if (!isReading(reading) || judged(running, reading)?.proven !== true) {
    throw new UserError(`not observed: ${CLAIMS.reading} (the record is not genuine)`);
  }
  story.line(
    'reading',
    sensor.name,
    `${readingValue(reading.payload ?? new Uint8Array()) ?? 'unreadable'}, record genuine`,
  );
  story.note('reading', reading.record.id);

  const refused = await observed('refusal', askUnattested(running), WAIT_MS, signal);
  const recorded = await observed(
    'refusal',
    ledger.entry((entry) => refusalBy(entry, `pid-${process.pid}`) !== undefined),
    WAIT_MS,
    signal,
  );
  story.line(
    'refusal',
    'a stranger',
    `${refused}; recorded as ${refusalBy(recorded, `pid-${process.pid}`)}`,
  );
  story.note('refusal', refused);

  const finding = await observed('finding', ledger.entry(isFinding), WAIT_MS, signal);
  if (isFinding(finding)) {
    story.line('finding', nameOf(finding), findingText(finding));
    story.note('finding', finding.record.id);
  }
  const action = await observed('action', ledger.entry(isAction), WAIT_MS, signal);
  if (!isAction(action)) throw new UserError(`not observed: ${CLAIMS.action}`);
  await observed('works', carriedOut(running, action), WAIT_MS, signal);
  const works = await observeWorksState(running.observe);
  const plans = Object.entries(works.signals).map(([district, plan]) => `${district} ${plan}`);
  story.line(
    'action',
    nameOf(action),
    `${orderOf(action.payload ?? new Uint8Array())}; city works now: ${plans.join(', ')}`,
  );
  story.note('action', action.record.id);
  story.note('works', plans.join(', '));

  const [before, after] = await observed('renewal', renewed, WAIT_MS, signal);
  await observed('renewal', nextReading(running, sensor.id), WAIT_MS, signal);
  const { rows, missing } = readingsOf(running, sensor.id);
  if (missing > 0)
    throw new UserError(
      `not observed: ${CLAIMS.renewal} (${missing} of ${rows} readings are missing)`,
    );
  story.line(
    'renewal',
    sensor.name,
    `serial ${before.serial.slice(0, 4)} to ${after.serial.slice(0, 4)}, ${missing} of ${rows} readings lost`,
  );
  story.note('renewal', `${rows} readings, ${acknowledgedOf(running, sensor.id)} acknowledged`);

  const ancestry = judged(running, action);
  story.say();
  story.say(`Who did it, because of whom: action ${action.record.id.slice(0, 6)}`);
  if (ancestry !== undefined) {
    const records = ledger.ancestry(action.record.id);
    for (const line of ancestryLines({ ancestry, records }, { full: false })) story.say(line);
  }
  if (ancestry?.proven !== true) throw new UserError(`not observed: ${CLAIMS.tree}`);
  story.note('tree', `${ancestry.hops.length} hops`);
  const counts = ledger.counts();
  story.say();
  story.say(
    `Records ${counts.entries}   Refusals ${counts.refusals}   Equivocations ${counts.equivocations}`,
  );
}

function refusalBy(entry: unknown, presenter: string): string | undefined {
  const { payload } = entry as { payload?: Uint8Array };
  if (payload === undefined) return undefined;
  const value = fromBytes(payload) as
    | { type?: string; presented_by?: string; code?: string }
    | undefined;
  return value?.type === 'refusal' && value.presented_by === presenter ? value.code : undefined;
}

function findingText(entry: RecordEntry): string {
  const finding = findingSchema.safeParse(fromBytes(entry.payload ?? new Uint8Array()));
  if (!finding.success) return 'a finding that cannot be read';
  const { score, runbook, model } = finding.data;
  return `${Math.abs(score).toFixed(1)} MAD off the usual, runbook ${runbook ?? 'none'}, model ${model ?? 'none'}`;
}

/** Resolves when the works, seen from outside, have carried out this very order. */
async function carriedOut(running: RunningSwarm, action: RecordEntry): Promise<void> {
  const done = async (): Promise<boolean> => {
    const { orders } = await observeWorksState(running.observe);
    return orders.some(({ order }) => order === action.record.id);
  };
  // Each entry that follows is an occasion to look again: the works' own answer is one of them.
  while (!(await done())) await running.ledger.entry(() => true, running.ledger.size());
}

function nextReading(running: RunningSwarm, id: string): Promise<unknown> {
  return running.ledger.entry(
    (entry) => isReading(entry) && entry.record.claims.iss === id,
    running.ledger.size(),
  );
}

function finish(seen: Partial<Record<Claim, string>>, began: number, json: boolean): void {
  const missing = (Object.keys(CLAIMS) as Claim[]).filter((claim) => seen[claim] === undefined);
  if (json) printJson({ claims: CLAIMS, observed: seen, passed: missing.length === 0 });
  if (missing.length > 0) {
    throw new UserError(`not observed: ${missing.map((claim) => CLAIMS[claim]).join('; ')}`);
  }
  if (json) return;
  const seconds = Math.round((performance.now() - began) / 1000);
  print(`Next    npx --no-install swarmproof up`);
  print(`        npx --no-install swarmproof custody show last     (in another terminal)`);
  print(
    `${paint('green', 'PASS')}  all ${Object.keys(CLAIMS).length} claims observed, everything stopped, ${seconds} s`,
  );
}
