import type { Named } from '#scenarios/verdict.ts';
import { paint } from '../output.ts';
import type { ScenarioResult } from './run.ts';

const NAME = 21;
const FIRST = 13;
const SHARED = 'shared keys';

/** One scenario in the two arenas; either may be missing. */
interface Pair {
  readonly id: string;
  readonly before: ScenarioResult | undefined;
  readonly here: ScenarioResult | undefined;
}

function pairsOf(results: readonly ScenarioResult[]): readonly Pair[] {
  const ids = [...new Set(results.map(({ scenario }) => scenario.id))];
  return ids.map((id) => {
    const of = results.filter(({ scenario }) => scenario.id === id);
    return {
      id,
      before: of.find(({ arena }) => arena === SHARED),
      here: of.find(({ arena }) => arena !== SHARED),
    };
  });
}

/** Both verdicts of each scenario side by side, at 80 columns, every word from a result. */
export function compromiseLines(results: readonly ScenarioResult[]): string[] {
  const here = results.find(({ arena }) => arena !== SHARED)?.arena ?? 'this swarm';
  return [
    `${'Compromise'.padEnd(NAME)}${SHARED.padEnd(FIRST)}${here}`,
    ...pairsOf(results).flatMap((pair) => [
      `${pair.id.padEnd(NAME)}${coloured(pair.before, FIRST)}${verdictText(pair.here)}`,
      `${' '.repeat(NAME)}${namesText(pair)}`,
    ]),
  ];
}

const WORDS = {
  succeeded: 'SUCCEEDED',
  stopped: 'STOPPED',
  broken: 'BROKEN',
  unclear: 'UNCLEAR',
} as const;

/** Padded before it is coloured: what colours is of no width. */
function coloured(result: ScenarioResult | undefined, width = 0): string {
  if (result === undefined) return '-'.padEnd(width);
  const { outcome } = result.verdict;
  const word = WORDS[outcome].padEnd(width);
  return paint(outcome === 'stopped' ? 'green' : 'red', word);
}

function verdictText(result: ScenarioResult | undefined): string {
  if (result === undefined) return '-';
  const { outcome, why } = result.verdict;
  if (outcome === 'stopped') return `${coloured(result)} by ${why}`;
  if (outcome === 'succeeded') return coloured(result);
  return `${coloured(result)}: ${why}`;
}

function namesText({ before, here }: Pair): string {
  const there = before?.verdict.culprit?.named;
  const first = there === undefined ? 'nobody named' : `${shortName(there)} named`;
  if (here === undefined) return first;
  const { culprit } = here.verdict;
  const second = culprit
    ? `here ${shortName(culprit.named)} named, ${culprit.correct ? 'correct' : 'WRONG'}`
    : 'here nobody either';
  const { refusal } = here;
  return [first, second, ...(refusal === undefined ? [] : [msText(refusal.afterMs)])].join('; ');
}

function shortName({ id }: Named): string {
  return id.split('/').at(-1) ?? id;
}

function msText(ms: number): string {
  return `${Math.max(1, Math.round(ms))} ms`;
}

const MARKS = { true: 'ok', false: '!!' } as const;

/** What was done and seen in one arena, line by line, and where the evidence lies. */
export function runLines(result: ScenarioResult): string[] {
  const { refusal, steps, verdict } = result;
  const evidence = [
    ...(refusal?.entry === undefined
      ? []
      : [`evidence  custody show ${shortEntry(refusal.entry)}`]),
    ...(verdict.culprit === undefined ? [] : [namedText(verdict.culprit.named)]),
    ...(refusal?.span === undefined ? [] : [`trace     ${refusal.span}`]),
  ];
  return [
    paint('bold', result.arena),
    ...steps.map(({ what, text, ok }) => `  ${MARKS[`${ok}`]} ${what.padEnd(8)} ${text}`),
    ...evidence.map((line) => `     ${line}`),
  ];
}

function namedText({ id, by }: Named): string {
  return `named     ${id.replace(/^spiffe:\/\/[^/]+/, '')} by ${by}`;
}

function shortEntry(entry: string): string {
  return entry.startsWith('@') ? entry : entry.slice(0, 12);
}

/** Did it end as expected, and is all put back? */
export function isAsExpected(result: ScenarioResult): boolean {
  const { verdict, expected, reverted, refusal } = result;
  if (reverted?.ok !== true || verdict.outcome !== expected) return false;
  // Whoever is stopped is to be named, and to be the right one.
  return (
    verdict.outcome !== 'stopped' || refusal === undefined || verdict.culprit?.correct === true
  );
}

/** The same for programs. */
export function resultJson(result: ScenarioResult) {
  const { scenario, arena, verdict, expected, refusal, steps, reverted } = result;
  return {
    scenario: scenario.id,
    arena,
    outcome: verdict.outcome,
    expected,
    asExpected: isAsExpected(result),
    why: verdict.why,
    ...(refusal !== undefined && { refusal }),
    ...(verdict.culprit !== undefined && { culprit: verdict.culprit }),
    steps,
    ...(reverted !== undefined && { reverted }),
  };
}
