import { isWitness } from '#runtime/witness/names.ts';
import type { ArenaOptions } from '../inject/pair.ts';
import type { ScenarioResult } from '../inject/run.ts';
import { paint, UserError } from '../output.ts';
import type { RunningSwarm } from '../wiring/swarm.ts';
import { type Expected, refusedIn, surprises, untilComplete } from './account.ts';
import { notObserved, type Observed, observed } from './claims.ts';
import { attackSharedKeys, attackThis, tellCompromises } from './compromises.ts';
import { tellEvidence } from './evidence.ts';
import { tellAncestry, tellIncident } from './incident.ts';
import { countRenewals, nextRenewal, tellRenewal } from './renewal.ts';
import { createScreen, type Screen } from './screen.ts';
import { tellStranger } from './stranger.ts';

/** What the demo shows of a swarm that has come up, until it is stopped. */
export async function tellDemo(
  running: RunningSwarm,
  start: ArenaOptions,
  screenSay: (line?: string) => void,
  seen: Observed,
  signal: AbortSignal,
): Promise<void> {
  const began = Date.now();
  const screen = createScreen(began, screenSay);
  const sensor = sensorOf(running.swarm);
  const renewals = countRenewals(running);
  const renewal = nextRenewal(running, sensor.id);
  renewal.catch(() => {});
  // What fails or is interrupted takes the attacks with it: each puts back what it changed.
  const ending = new AbortController();
  const attacks: Promise<ScenarioResult[]>[] = [];
  const begin = (attack: Promise<ScenarioResult[]>): Promise<ScenarioResult[]> => {
    attack.catch(() => {});
    attacks.push(attack);
    return attack;
  };
  try {
    const shared = begin(attackSharedKeys(start, ending.signal));
    const stranger = await tellStranger(running, screen, seen, signal);
    const action = await tellIncident(running, screen, seen, signal);
    // Only now: the honest twins of the attacks lead to findings and orders as well.
    const here = begin(attackThis(running, ending.signal));
    await tellRenewal(running, sensor, renewal, { screen, seen, signal });
    tellAncestry(running, action, began, screen, seen);
    await tellEvidence(running, action.record.id, screen, seen, signal);
    const results = [
      ...(await observed('compromises', shared, signal)),
      ...(await observed('compromises', here, signal)),
    ];
    tellCompromises(results, screen, seen);
    const entries = new Set([stranger, ...results.flatMap(({ refusal }) => refusal?.entry ?? [])]);
    const held = heldIn(results, running);
    await tellRecords(running, { entries, held }, renewals, screen, seen, signal);
  } finally {
    ending.abort();
    await Promise.allSettled(attacks);
  }
}

/** IDs and tokens of whoever an attacker held: named by the evidence, and found to be right. */
function heldIn(results: readonly ScenarioResult[], { swarm }: RunningSwarm): ReadonlySet<string> {
  const ids = new Set(results.flatMap(({ verdict }) => verdict.culprit?.named.id ?? []));
  const tokens = swarm.members.filter(({ id }) => ids.has(id)).map(({ token }) => token);
  return new Set([...ids, ...tokens]);
}

/** The screen's head: what came up, how fast, and how far its processes are kept apart. */
export function tellReady(
  { swarm, status, isolation }: RunningSwarm,
  ms: number,
  say: (line?: string) => void,
  seen: Observed,
): void {
  const { processes } = status();
  const bare = processes.filter(
    ({ state, serial, name }) =>
      state !== 'ready' ||
      (serial === undefined && name !== 'issuer' && name !== 'nats' && !isWitness(name)),
  );
  if (bare.length > 0) throw notObserved('ready', bare.map(({ name }) => name).join(', '));
  const identified = processes.filter(({ name }) => !isWitness(name)).length;
  const count = `${identified} processes, each with its own SVID`;
  const title = paint('bold', 'Swarmproof');
  say(`${title}: smart city    ${count}    ready in ${(ms / 1000).toFixed(1)} s`);
  const sensor = sensorOf(swarm);
  say(paint('dim', `${sensor.id}   attested, renews every ${swarm.svidTtlSeconds / 2} s`));
  say(paint('dim', separationLine(isolation)));
  say();
  seen.ready = `${identified} processes`;
}

/** What one agent taken over is kept out of by the kernel, and not only by its flags. */
function separationLine(isolation: RunningSwarm['isolation']): string {
  return isolation.kind === 'uid-per-process'
    ? 'each process under a uid of its own'
    : `one uid for all processes: ${isolation.why}`;
}

function sensorOf({ agents }: RunningSwarm['swarm']) {
  const sensor = agents.find(({ config }) => 'source' in Object(config))?.member;
  if (sensor === undefined) throw new UserError('the swarm of the demo has no sensor');
  return sensor;
}

/** What the ledger holds at the end: nothing is missing, and nobody was refused by surprise. */
async function tellRecords(
  { ledger }: RunningSwarm,
  expected: Expected,
  renewals: () => number,
  screen: Screen,
  seen: Observed,
  signal: AbortSignal,
): Promise<void> {
  await observed('records', untilComplete(ledger, expected), signal);
  const refused = refusedIn(ledger);
  const [surprise] = surprises(refused, expected);
  if (surprise !== undefined) {
    throw notObserved('records', `${surprise.code} by ${surprise.by} was not expected`);
  }
  const { entries } = ledger.counts();
  screen.say();
  const facts = [`Records ${entries}, missing 0`, `Renewals ${renewals()}`];
  screen.say([...facts, `Refusals ${refused.length}, all expected`].join('   '));
  seen.records = `${entries} records, ${refused.length} refusals`;
}
