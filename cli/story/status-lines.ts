import { inert } from '#agents/text.ts';
import { columns, paint } from '../output.ts';
import { type AlarmView, alarmLines } from './alarm-lines.ts';
import { type WitnessedView, witnessLine } from './witness-lines.ts';

/** One process, as the supervisor tells of it and the kernel of its uid. */
export interface ProcessRow {
  readonly name: string;
  readonly state: string;
  readonly pid?: number | undefined;
  readonly spiffeId?: string | undefined;
  readonly restarts: number;
  readonly serial?: string | undefined;
  readonly notAfter?: string | undefined;
  readonly pssKiB?: number | undefined;
  readonly detail?: string | undefined;
  /** As the kernel tells it; absent where it does not, or the process has ended. */
  readonly uid?: number | undefined;
}

export interface Counts {
  readonly readings: number;
  readonly acknowledged: number;
  readonly findings: number;
  readonly acts: number;
  readonly refusals: number;
  readonly denials: number;
}

/** Spans: written to the run's file; dropped, refused and lost where any were. */
export interface TraceCounts {
  readonly file: string;
  readonly written: number;
  readonly dropped: number;
  readonly refused: number;
  readonly lost: Readonly<Record<string, number>>;
  /** Where the UI is that shows them. */
  readonly jaeger?: string | undefined;
}

export interface StatusView {
  readonly name: string;
  readonly state: string;
  readonly processes: readonly ProcessRow[];
  /** What the launcher says of it; the uids of the processes say whether it is so. */
  readonly isolation?: { readonly why?: string | undefined } | undefined;
  readonly pssKiB?: number | undefined;
  readonly counts: Counts;
  /** Absent where there are no witnesses. */
  readonly witnessed?: WitnessedView | undefined;
  /** Those that are so now, and those that are over. */
  readonly alarms?: readonly AlarmView[] | undefined;
  readonly traces: TraceCounts;
  readonly now: Date;
}

const WIDTH = 80;
const SERIAL_TAIL = 6;
const MAX_NAME = 16;
const PATH_COLUMN = 3;
const GAPS = 2 * 7;

/** The table at 80 columns: paths give way in their middle, everything else is shown whole. */
export function statusLines(view: StatusView): string[] {
  const { processes, now } = view;
  const head = ['process', 'state', 'pid', 'SPIFFE path', 'rst', 'serial', 'ends', 'MiB'];
  const rows = processes.map((one) => [
    shortName(one),
    one.state,
    String(one.pid ?? '-'),
    pathOf(one.spiffeId),
    String(one.restarts),
    one.serial?.slice(-SERIAL_TAIL) ?? '-',
    remaining(one.notAfter, now),
    one.pssKiB === undefined ? '-' : String(Math.round(one.pssKiB / 1024)),
  ]);
  const widths = head.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const others = widths.reduce(
    (sum, width, column) => sum + (column === PATH_COLUMN ? 0 : width),
    0,
  );
  const room = Math.max(head[PATH_COLUMN]?.length ?? 0, WIDTH - GAPS - others);
  const fitted = rows.map((row) =>
    row.map((cell, column) => (column === PATH_COLUMN ? middle(cell, room) : cell)),
  );
  const [title = '', ...lines] = columns([head, ...fitted]).map((line) => line.slice(0, WIDTH));
  return [
    paint('dim', title),
    ...lines.map((line, index) => coloured(line, processes[index]?.state ?? '')),
    '',
    ...totals(view),
    ...separation(view),
    ...quarantined(processes),
  ];
}

/** The last segment of the path names it among its like; `issuer` has no SPIFFE ID. */
function shortName({ name, spiffeId }: ProcessRow): string {
  return middle(inert(spiffeId?.split('/').at(-1) ?? name, 300), MAX_NAME);
}

function pathOf(spiffeId: string | undefined): string {
  return spiffeId === undefined ? '-' : inert(spiffeId.replace(/^spiffe:\/\/[^/]*/, ''), 300);
}

function coloured(line: string, state: string): string {
  if (state === 'ready') return line;
  return paint(state === 'quarantined' ? 'red' : 'yellow', line);
}

/** Seconds, or hours where it is long: `14s`, `23h`, `over`. */
function remaining(notAfter: string | undefined, now: Date): string {
  if (notAfter === undefined) return '-';
  const seconds = Math.floor((Date.parse(notAfter) - now.getTime()) / 1000);
  if (!Number.isFinite(seconds)) return '-';
  if (seconds < 0) return 'over';
  return seconds < 1000 ? `${seconds}s` : `${Math.floor(seconds / 3600)}h`;
}

/** What is missing from a trace is said; a view with holes must not look whole. */
function spans({ written, dropped, refused, lost }: TraceCounts): string {
  const missing = [
    [dropped, 'dropped'],
    [refused, 'refused'],
    ...Object.entries(lost).map(([sink, count]) => [count, `not taken by ${sink}`] as const),
  ] as const;
  return [[written, 'spans'] as const, ...missing.filter(([count]) => count > 0)]
    .map(([count, what]) => `${count} ${what}`)
    .join(', ');
}

function totals(view: StatusView): string[] {
  const { name, state, processes, pssKiB, counts, witnessed, alarms, traces } = view;
  const ready = processes.filter((one) => one.state === 'ready').length;
  const restarts = processes.reduce((sum, one) => sum + one.restarts, 0);
  const memory =
    pssKiB === undefined ? '' : `, ${Math.round(pssKiB / 1024)} MiB with the supervisor`;
  const { readings, acknowledged, findings, acts, refusals, denials } = counts;
  return [
    `${name} ${state}: ${processes.length} processes, ${ready} ready, ${restarts} restarts${memory}`,
    `ledger: ${readings} readings recorded, ${acknowledged} messages acknowledged,`,
    `        ${findings} findings, ${acts} acts, ${refusals} refusals, ${denials} denials`,
    ...(witnessed === undefined ? [] : [witnessLine(witnessed, processes, view.now)]),
    ...(alarms === undefined ? [] : alarmLines(alarms, view.now)),
    `traces: ${spans(traces)}`,
    ...(traces.jaeger === undefined
      ? []
      : [`        seen in Jaeger at ${inert(traces.jaeger, 60)}`]),
  ];
}

/** One uid for several roles is no boundary between them; said where one looks. */
function separation({ processes, isolation }: StatusView): string[] {
  const uids = new Map<number, number>();
  for (const { uid } of processes) {
    if (uid !== undefined) uids.set(uid, (uids.get(uid) ?? 0) + 1);
  }
  const shared = [...uids].flatMap(([uid, count]) =>
    count < 2
      ? []
      : [`uid ${uid} is shared by ${count} processes: code run in one of them reaches the others`],
  );
  const why = isolation?.why;
  if (shared.length > 0)
    return why === undefined ? shared : [...shared, `  why: ${inert(why, 300)}`];
  return uids.size < 2 ? [] : [`each of ${uids.size} processes has a uid of its own`];
}

function quarantined(processes: readonly ProcessRow[]): string[] {
  return processes
    .filter(({ state }) => state === 'quarantined')
    .map((one) =>
      paint(
        'red',
        `quarantined ${inert(one.name, 40)}: ${inert(one.detail ?? 'no reason given', 300)}`,
      ),
    );
}

function middle(text: string, most: number): string {
  if (text.length <= most) return text;
  const end = Math.ceil((most - 1) / 2);
  return `${text.slice(0, most - 1 - end)}…${text.slice(-end)}`;
}
