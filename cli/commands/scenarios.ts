import { Command } from 'commander';
import { SCENARIOS, scenarioOf } from '#scenarios/index.ts';
import type { Scenario } from '#scenarios/scenario.ts';
import { TAXONOMY, TAXONOMY_LISTS, type TaxonomyId } from '#scenarios/taxonomy.ts';
import { controlOf } from '../inject/controls.ts';
import { columns, paint, print, printJson } from '../output.ts';
import { unknown } from './inject.ts';

const WIDTH = 80;
const EXIT_USAGE = 2;

/** `swarmproof scenarios [NAME]`: the compromises that `inject` runs. */
export function scenariosCommand(): Command {
  return new Command('scenarios')
    .description('the compromises that inject can run')
    .argument('[name]', 'tell everything of one')
    .option('--json', 'as JSON')
    .action((name: string | undefined, options: { json?: boolean }, command: Command) => {
      const one = name === undefined ? undefined : scenarioOf(name);
      if (name !== undefined && one === undefined) {
        return command.error(unknown(name), { exitCode: EXIT_USAGE });
      }
      const shown = one === undefined ? SCENARIOS : [one];
      if (options.json === true) printJson(shown.map(scenarioJson));
      else for (const line of one === undefined ? tableLines() : scenarioLines(one)) print(line);
    });
}

function tableLines(): string[] {
  const rows = SCENARIOS.map(({ id, foothold, detection }) => [
    id,
    foothold.kind,
    `${controlOf(detection.code).title}, ${detection.code}`,
  ]);
  const [head = '', ...lines] = columns([['scenario', 'foothold', 'expected stop'], ...rows]);
  return [
    paint('dim', head),
    ...lines.flatMap((line, index) => [line, `  ${SCENARIOS[index]?.title ?? ''}`]),
  ].map((line) => (line.length > WIDTH && !line.includes('\u001b') ? line.slice(0, WIDTH) : line));
}

function scenarioLines(scenario: Scenario): string[] {
  const { id, title, story, taxonomy, foothold, steps, stoppedBy, detection } = scenario;
  const ids = Object.values(taxonomy).flat();
  return [
    `${paint('bold', id)}  ${title}`,
    '',
    ...wrapped(story),
    '',
    `foothold   ${foothold.kind}, role ${foothold.role}`,
    ...steps.map((step, index) => `${index + 1}. ${step}`),
    `stopped by ${stoppedBy.join(', then ')}: ${controlOf(detection.code).title}, ${detection.code}`,
    ...wrapped(`detected   ${detection.where}`),
    '',
    ...ids.map((one) => `${one.padEnd(14)} ${TAXONOMY[one].name}`),
    ...ids
      .map((one) => TAXONOMY_LISTS[TAXONOMY[one].list])
      .map((list) => paint('dim', list))
      .filter((line, index, all) => all.indexOf(line) === index),
  ];
}

function wrapped(text: string): string[] {
  const lines: string[] = [];
  for (const word of text.split(/(?<=\S) (?=\S)/)) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + 1 + word.length <= WIDTH) {
      lines[lines.length - 1] = `${last} ${word}`;
    } else lines.push(word);
  }
  return lines;
}

function scenarioJson(scenario: Scenario) {
  const { id, title, story, taxonomy, foothold, steps, stoppedBy, detection } = scenario;
  const named = (ids: readonly TaxonomyId[]) =>
    ids.map((one) => ({ id: one, name: TAXONOMY[one].name }));
  return {
    id,
    title,
    story,
    foothold,
    steps,
    stoppedBy,
    detection,
    taxonomy: Object.fromEntries(Object.entries(taxonomy).map(([list, ids]) => [list, named(ids)])),
  };
}
