import { inert } from '#agents/text.ts';
import { AUDIT_CODES } from '../../codes.ts';
import { paint } from '../../output.ts';
import { timeText } from '../../story/ancestry.ts';
import { plural, row } from '../rows.ts';
import { faultLines } from '../verdict-lines.ts';
import type { AuditReport } from './audit.ts';
import type { AuditFinding } from './ledger-checks.ts';

const SHOWN = 5;

/** What an audit found, in lines of at most 80 columns. */
export function auditLines(
  report: AuditReport,
  options: { readonly full: boolean },
): readonly string[] {
  const { verdict, findings, clean, until, spans } = report;
  const word = clean ? 'CLEAN' : 'NOT CLEAN';
  const { count, from, to } = verdict.entries;
  const records = Object.values(verdict.counts).reduce((sum, one) => sum + one, 0);
  return [
    ...row(word, `${plural(count, 'entry', 'entries')}, ${plural(records, 'record')}`, (text) =>
      paint(clean ? 'green' : 'red', text),
    ),
    ...row('evidence', verdict.overall),
    ...(count === 0 ? [] : row('of the ledger', `from entry ${from} to entry ${to - 1}`)),
    ...faultLines(verdict, options),
    ...row('traces', spans === 0 ? 'none were read' : tracesText(report)),
    ...row('judged until', timeText(Math.floor(until / 1000))),
    ...[...Map.groupBy(findings, ({ code }) => code)].flatMap(([code, alike]) =>
      findingLines(code, alike, options.full),
    ),
    ...row('no fault', unusedText(report)),
  ];
}

function tracesText({ spans, broken, dropped }: AuditReport): string {
  const parts = [
    plural(spans, 'span'),
    ...(broken > 0 ? [`${plural(broken, 'line')} that can be read as none`] : []),
    ...(dropped > 0 ? [`${dropped} dropped: records without one are not told`] : []),
  ];
  return parts.join('; ');
}

function unusedText({ unused }: AuditReport): string {
  return `${plural(unused, 'message')} led to nothing: most readings show nothing`;
}

function findingLines(
  code: AuditFinding['code'],
  alike: readonly AuditFinding[],
  full: boolean,
): readonly string[] {
  const shown = full ? alike : alike.slice(0, SHOWN);
  const more = alike.length - shown.length;
  return [
    ...row(plural(alike.length, 'finding'), `${code}: ${AUDIT_CODES[code]}`),
    ...shown.flatMap(({ detail, id }) => {
      const which = id === undefined ? '' : `record ${id.slice(0, 8)}: `;
      return row('', inert(`- ${which}${detail}`, 300));
    }),
    ...(more > 0 ? row('', `- … ${more} more like these (--full)`) : []),
  ];
}
