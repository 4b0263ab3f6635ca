import { inert } from '#agents/text.ts';
import { parseSpiffeId } from '#identity/spiffe-id.ts';
import { paint } from '../output.ts';
import { KIND_MEANINGS } from './codes.ts';
import type { DecisionStory, Explanation, RefusalStory } from './why.ts';

const WIDTH = 80;
const KEY_WIDTH = 11;

/** What is no rule of the policy sources, and denies all the same. */
const WITHOUT_RULE: Readonly<Record<string, string>> = {
  default_deny: 'no rule covers this operation; nothing is allowed by not being forbidden',
  policy_error: 'the policy gave no well-formed answer, which denies',
  obligation_unknown: 'the policy asked for something that the service cannot keep, which denies',
};

const PLACES: Readonly<Record<string, string>> = {
  gate: "the broker's gate",
  'workload-api': 'the Workload API',
};

/** An explanation as lines of at most 80 columns. */
export function explanationLines(story: Explanation): string[] {
  return story.type === 'refusal' ? refusalLines(story) : decisionLines(story);
}

function refusalLines({ refusal, meaning, by, name, at, total, verdict }: RefusalStory): string[] {
  const { code, presented_by: presenter, signed_by: signer, subject, count, record } = refusal;
  const place = PLACES[meaning?.place ?? ''];
  const where = by === 'ledger' ? 'the ledger' : (place ?? `the door of ${by}`);
  const kind = meaning?.kind;
  return [
    `${paint('red', 'REFUSED')}    ${code}`,
    ...row('meaning', meaning?.meaning ?? 'a code that no table of this version has'),
    ...(kind === undefined ? [] : row('kind', `${kind}: ${KIND_MEANINGS[kind]}`)),
    ...row('presented', presenter + presenterNote(presenter)),
    ...row('signed', signer ?? 'not known: no signature had been verified'),
    ...row('where', `${where}, on ${inert(subject, 200)}`),
    ...(place === undefined || by === 'ledger' ? [] : row('recorded', `by ${by}`)),
    ...row('how often', `${times(count)} in that second, ${times(total)} in all`),
    ...(record === undefined ? [] : row('record', `${record} (the first one refused)`)),
    ...row('entry', `${name}, ${verdict}`),
    ...row('', `at ${at.toISOString()}`),
  ];
}

function presenterNote(presenter: string): string {
  if (presenter === 'unknown') return ' (nobody proved who it was)';
  if (/^pid-[0-9]+$/.test(presenter)) return ' (a process, as the kernel told)';
  return parseSpiffeId(presenter).ok ? '' : ' (the identity that the broker pinned)';
}

const times = (count: number): string => (count === 1 ? 'once' : `${count} times`);

function decisionLines(story: DecisionStory): string[] {
  const { decision, rules, failure } = story;
  const verdict = decision.allow ? paint('green', 'ALLOWED') : paint('red', 'DENIED');
  const code = failure === undefined ? '' : failure.code;
  const head = decision.allow ? verdict : `${verdict}     ${code}`;
  return [
    head.trimEnd(),
    ...row('who', story.subject),
    ...row('', `with certificate ${story.serial}`),
    ...row('asked', `${story.by} for ${story.asked}`),
    ...row('', `record ${story.askedRecord}`),
    ...rules.flatMap(({ check, file, line, title }, index) => [
      ...row(
        index === 0 ? (decision.allow ? 'proven' : 'unproven') : '',
        file === undefined ? check : `${file}:${line}  ${check}`,
      ),
      ...row('', title ?? WITHOUT_RULE[check] ?? 'no rule of this version'),
    ]),
    ...row('revision', decision.revision === '' ? 'unknown' : decision.revision),
    ...row('decision', decision.id),
    ...row('recorded', `${story.answerRecord}, ${story.verdict}`),
    ...row('', `at ${story.at.toISOString()}`),
    ...(decision.allow ? row('outcome', outcome(failure)) : []),
  ];
}

function outcome(failure: DecisionStory['failure']): string {
  if (failure === undefined) return 'done';
  const { code, meaning } = failure;
  return meaning === undefined ? `refused, ${inert(code, 64)}` : `refused, ${code}: ${meaning}`;
}

/** A key and its text, the text wrapped under itself. */
function row(key: string, text: string): string[] {
  const room = WIDTH - KEY_WIDTH;
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > room) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  lines.push(line);
  return lines.map((part, index) =>
    `${(index === 0 ? key : '').padEnd(KEY_WIDTH)}${part}`.trimEnd(),
  );
}
