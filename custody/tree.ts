import { pathOf, type SpiffeId, trustDomainOf } from '#identity/spiffe-id.ts';
import type { RecordClaims, RecordId } from './record.ts';
import type { Ancestry, Hop, HopVerdict } from './verify.ts';

export interface TreeOptions {
  /** 80 by default. */
  readonly columns?: number;
  /** More proven causes of one record than this, without causes of their own, become one line. */
  readonly siblings?: number;
  /** What to say of a hop instead of its kind and sender; `below`: lines of its own under it. */
  readonly describe?: (hop: Hop) => HopText;
  /** Proven hops that are left out, their causes in their place; never the root. */
  readonly folded?: (hop: Hop) => boolean;
  /** Colours what a line says of the verdict. */
  readonly paint?: (verdict: HopVerdict, text: string) => string;
}

/** One line each, free of control characters: the tree is drawn as given. */
export interface HopText {
  readonly label: string;
  readonly below: readonly string[];
}

/** Indentation stops growing here, so that a long chain of causes stays readable. */
const MAX_INDENT = 24;
/** The longest verdict, with the spaces around it. */
const VERDICT_ROOM = '   unverifiable'.length;

/**
 * Draws an ancestry as lines of text, the action first and its causes below it. Times count from
 * the oldest record shown. What appears twice is drawn once and referred to after that.
 */
export function renderTree(ancestry: Ancestry, options: TreeOptions = {}): readonly string[] {
  const { columns = 80, siblings = 6, describe, folded = () => false } = options;
  const paint = options.paint ?? ((_verdict, text) => text);
  const hops = new Map(ancestry.hops.map((hop) => [hop.id, hop]));
  const times = ancestry.hops.flatMap(({ claims }) => (claims === undefined ? [] : [claims.iat]));
  const start = times.reduce((least, time) => Math.min(least, time), Number.POSITIVE_INFINITY);
  const home = hops.get(ancestry.root)?.claims?.iss;
  const drawn = new Set<RecordId>();
  const lines: string[] = [];

  // A stack of its own: a chain of causes may be longer than the call stack is deep.
  const stack: { readonly item: Item; readonly lead: string; readonly rest: string }[] = [
    { item: { id: ancestry.root }, lead: '', rest: '' },
  ];
  for (let next = stack.pop(); next !== undefined; next = stack.pop()) {
    const { item, lead, rest } = next;
    if ('more' in item) {
      lines.push(cutTo(`${lead}… ${item.more} more, all genuine or withheld`, columns));
      continue;
    }
    const hop = hops.get(item.id);
    if (hop === undefined) continue;
    const again = drawn.has(hop.id);
    drawn.add(hop.id);
    const said = hop.claims === undefined ? undefined : describe?.(hop);
    lines.push(lineOf(hop, { lead, start, home, again, columns, paint, label: said?.label }));
    if (again) continue;
    if (hop.reason !== undefined) lines.push(cutTo(`${rest}  ${hop.reason}`, columns));
    for (const line of said?.below ?? []) lines.push(cutTo(`${rest}  ${line}`, columns));
    const items = itemsOf(hop, hops, siblings, folded);
    // Pushed last to first, drawn first to last.
    for (const [index, child] of [...items.entries()].reverse()) {
      const last = index === items.length - 1;
      const indent = rest.length < MAX_INDENT ? rest : rest.slice(0, MAX_INDENT);
      stack.push({
        item: child,
        lead: `${indent}${last ? '└ ' : '├ '}`,
        rest: `${indent}${last ? '  ' : '│ '}`,
      });
    }
  }
  return lines;
}

type Item = { readonly id: RecordId } | { readonly more: number };

/** The causes of a hop; many plain ones are counted, a bad one is never among the counted. */
function itemsOf(
  hop: Hop,
  hops: ReadonlyMap<RecordId, Hop>,
  siblings: number,
  folded: (hop: Hop) => boolean,
): readonly Item[] {
  const causes = shownCauses(hop, hops, folded);
  const plain = causes.filter((id) => {
    const cause = hops.get(id);
    return isProven(cause) && cause.claims?.par.length === 0;
  });
  if (plain.length <= siblings) return causes.map((id) => ({ id }));
  const hidden = new Set(plain.slice(siblings - 1));
  const shown = causes.filter((id) => !hidden.has(id)).map((id) => ({ id }));
  return [...shown, { more: hidden.size }];
}

function isProven(hop: Hop | undefined): hop is Hop {
  return hop?.verdict === 'genuine' || hop?.verdict === 'withheld';
}

/** The causes with the folded ones replaced by theirs, as often as it takes; a bad hop stays. */
function shownCauses(
  hop: Hop,
  hops: ReadonlyMap<RecordId, Hop>,
  folded: (hop: Hop) => boolean,
): readonly RecordId[] {
  const seen = new Set<RecordId>();
  const shown: RecordId[] = [];
  const open = [...(hop.claims?.par ?? [])].reverse();
  for (let id = open.pop(); id !== undefined; id = open.pop()) {
    if (seen.has(id)) continue;
    seen.add(id);
    const cause = hops.get(id);
    if (isProven(cause) && folded(cause)) open.push(...[...(cause.claims?.par ?? [])].reverse());
    else shown.push(id);
  }
  return shown;
}

interface LineContext {
  readonly lead: string;
  readonly start: number;
  readonly home: SpiffeId | undefined;
  readonly again: boolean;
  readonly columns: number;
  readonly paint: NonNullable<TreeOptions['paint']>;
  readonly label: string | undefined;
}

/** `signal.set_plan  /agent/action/north/action-1  0:06 genuine`; long names lose their middle. */
function lineOf(hop: Hop, context: LineContext): string {
  const { lead, start, home, again, columns, paint, label } = context;
  const { claims, verdict } = hop;
  if (claims === undefined) {
    const state = again ? 'see above' : paint(verdict, verdict);
    return `${cutTo(`${lead}${hop.id.slice(0, 12)}`, columns - VERDICT_ROOM)}  ${state}`;
  }
  const time = minutes(claims.iat - start);
  const state = again ? 'see above' : verdict;
  const coloured = again ? state : paint(verdict, state);
  if (label !== undefined) {
    // The times stand below each other, and a bad verdict catches the eye.
    const room = columns - lead.length - VERDICT_ROOM - time.length;
    return `${lead}${cutTo(label, room).padEnd(room)}  ${time} ${coloured}`;
  }
  const unsigned = claims.knd === 'tool.result' && claims.tool !== undefined && !again;
  const suffix = unsigned ? `, ${claims.tool?.model} unsigned` : '';
  const sender =
    home === undefined || trustDomainOf(home) === trustDomainOf(claims.iss)
      ? pathOf(claims.iss)
      : claims.iss.slice('spiffe://'.length);
  const tail = `  ${time} ${state}${suffix}`;
  const room = columns - lead.length - tail.length;
  if (room < 2) return cutTo(`${lead}${tail}`, columns);
  const text = shorten(`${labelOf(claims)}  ${sender}`, room);
  return `${lead}${text}  ${time} ${coloured}${suffix}`;
}

/** What the record is about: the tool that acts, else the kind of message its subject names. */
function labelOf(claims: RecordClaims): string {
  const { knd, tool, sbj } = claims;
  if ((knd === 'act' || knd === 'tool.call') && tool !== undefined) return tool.model;
  if (knd !== 'root' && knd !== 'msg') return knd;
  return sbj.split('.')[1] ?? knd;
}

function minutes(seconds: number): string {
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

function shorten(text: string, room: number): string {
  if (text.length <= room) return text;
  if (room < 2) return text.slice(0, Math.max(0, room));
  const left = Math.ceil((room - 1) / 2);
  return `${text.slice(0, left)}…${text.slice(text.length - (room - 1 - left))}`;
}

function cutTo(text: string, columns: number): string {
  return text.length <= columns ? text : `${text.slice(0, columns - 1)}…`;
}
