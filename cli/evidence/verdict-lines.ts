import { inert } from '#agents/text.ts';
import { CUSTODY_CODES } from '#custody/codes.ts';
import { EVIDENCE_CODES } from '#custody/evidence/codes.ts';
import type { Trust } from '#custody/evidence/trust.ts';
import type { Asks, EvidenceVerdict, Fault, Overall } from '#custody/evidence/verdict.ts';
import { NOTE_CODES } from '#custody/log/codes.ts';
import { isAnswerTo } from '#custody/parents.ts';
import type { Ancestry, EvidenceRecord, Hop } from '#custody/verify.ts';
import { pathOf } from '#identity/spiffe-id.ts';
import { paint } from '../output.ts';
import { timeText, treeLines } from '../story/ancestry.ts';
import { counted, plural, row } from './rows.ts';

export interface Judgement {
  readonly verdict: EvidenceVerdict;
  /** By what it was judged; absent: by nothing. */
  readonly trust?: { readonly name: string; readonly trust: Trust };
  /** Of the file, for telling what its records say. */
  readonly records: readonly EvidenceRecord[];
}

const MAX_FAULTS = 20;
const COLOURS = {
  proven: 'green',
  forged: 'red',
  unverifiable: 'yellow',
  malformed: 'red',
} as const satisfies Record<Overall, string>;
const MEANINGS: Readonly<Record<string, { readonly meaning: string }>> = {
  ...CUSTODY_CODES,
  ...NOTE_CODES,
  ...EVIDENCE_CODES,
};

/** What an evidence file proves, in lines of at most 80 columns. */
export function verdictLines(
  judgement: Judgement,
  options: { readonly full: boolean },
): readonly string[] {
  const { verdict } = judgement;
  return [
    ...storyLines(judgement, options),
    ...headLines(judgement),
    ...faultLines(verdict, options),
    ...(verdict.asks === undefined ? [] : pinLines(verdict.asks)),
  ];
}

/** The action with all that led to it, then the answers to it with all that led to them. */
function storyLines({ verdict, records }: Judgement, options: { readonly full: boolean }) {
  const { ancestry, beyond = [] } = verdict;
  if (ancestry === undefined) return [];
  const drawn = treeLines({ ancestry, records }, options);
  const order = ancestry.hops.find(({ id }) => id === ancestry.root)?.claims;
  const answers = beyond.filter(
    ({ claims }) =>
      order !== undefined &&
      claims?.par.includes(ancestry.root) === true &&
      isAnswerTo(order, claims),
  );
  const answered = answers.flatMap(({ id }) => {
    const hops = [...ancestry.hops.map((hop) => cutAt(hop, ancestry)), ...beyond];
    return treeLines({ ancestry: { ...ancestry, root: id, hops }, records }, options).lines;
  });
  const note = drawn.hidden === 0 ? [] : [`not drawn: ${drawn.hidden} calls of services (--full)`];
  return [
    ...drawn.lines,
    ...(answered.length > 0 ? ['', 'answered', ...answered] : []),
    ...note,
    '',
  ];
}

/** The action stands above with its causes: below its answer it is named, and no more. */
function cutAt(hop: Hop, { root }: Ancestry): Hop {
  if (hop.id !== root || hop.claims === undefined) return hop;
  return { ...hop, claims: { ...hop.claims, par: [] } };
}

function headLines({ verdict, trust }: Judgement): string[] {
  const { overall, counts, entries, witnessed, beside } = verdict;
  const records = Object.values(counts).reduce((sum, count) => sum + count, 0);
  const told = `${plural(records, 'record')}: ${counted(counts) || 'none'}`;
  const { statement, refusal, equivocation } = beside;
  const more = [
    ...(statement === 0 ? [] : [plural(statement, 'statement')]),
    ...(refusal === 0 ? [] : [plural(refusal, 'refusal')]),
    ...(equivocation === 0 ? [] : [plural(equivocation, 'equivocation')]),
  ];
  const span = `from ${entries.from} to ${entries.to - 1}`;
  return [
    ...row(overall.toUpperCase(), told, (text) => paint(COLOURS[overall], text)),
    ...(entries.count === 0
      ? []
      : row('of the ledger', `${plural(entries.count, 'entry', 'entries')}, ${span}`)),
    ...(more.length === 0 ? [] : row('beside them', more.join(', '))),
    ...(witnessed === undefined
      ? []
      : row('witnessed', `${timeText(witnessed.time)}, a ledger of ${witnessed.size} entries`)),
    ...(trust === undefined ? [] : row('judged by', trustText(trust.name, trust.trust))),
  ];
}

function trustText(name: string, { roots, log, issuance, members }: Trust): string {
  const pinned = [
    plural(roots.length, 'root'),
    `the keys of ${log.origin}`,
    `${log.quorum} of ${log.witnesses.length} witnesses`,
    ...(issuance === undefined ? [] : [plural(issuance.required, 'attester')]),
    ...(members === undefined ? [] : [plural(members.length, 'member')]),
  ];
  return `${inert(name, 60)}: ${inert(pinned.join(', '), 300)}`;
}

/** The first bad hop, then each kind of fault once with its places; many alike are counted. */
export function faultLines(
  { ancestry, asks, faults, faultCount }: EvidenceVerdict,
  options: { readonly full: boolean },
): string[] {
  // Without pins every hop is unverifiable for one reason, which is told below.
  const unpinned = asks !== undefined;
  const telling = unpinned ? faults.filter((fault) => !isUnpinned(fault)) : faults;
  const bad = unpinned ? undefined : ancestry?.firstBad;
  const others = telling.filter(({ id, code }) => id !== bad?.id || code !== bad?.code);
  const shown = [...Map.groupBy(others, ({ code }) => code)].flatMap(([code, alike]) =>
    faultRows(code, alike, options.full),
  );
  const rest = shown.length - MAX_FAULTS;
  return [
    ...(bad === undefined ? [] : row('first bad hop', hopText(bad))),
    ...shown.slice(0, options.full ? undefined : MAX_FAULTS),
    ...(rest > 0 && !options.full ? row('', `… ${rest} lines more: --full`) : []),
    ...(faultCount > faults.length ? row('', `… ${faultCount - faults.length} faults more`) : []),
  ];
}

function hopText({ id, verdict, claims, code, reason = '' }: Hop): string {
  const by = claims === undefined ? '' : ` by ${pathOf(claims.iss)}`;
  return inert(`record ${id.slice(0, 8)}${by} is ${verdict}: ${code ?? ''}, ${reason}`, 400);
}

/** Only that nobody is pinned who could vouch for it. */
function isUnpinned({ code, detail }: Fault): boolean {
  return code === 'EVIDENCE_UNPINNED' || detail.startsWith('SVID_TRUST_DOMAIN_UNKNOWN');
}

function faultRows(code: string, alike: readonly Fault[], full: boolean): string[] {
  const meaning = MEANINGS[code]?.meaning ?? '';
  const each = alike.slice(0, full ? undefined : 3).flatMap(({ detail, index, id }) => {
    const place = [
      ...(index === undefined ? [] : [`entry ${index}`]),
      ...(id === undefined ? [] : [`record ${id.slice(0, 8)}`]),
    ].join(', ');
    return row('', inert(`- ${place === '' ? '' : `${place}: `}${detail}`, 300));
  });
  const more = alike.length - (full ? alike.length : 3);
  return [
    ...row(alike.length === 1 ? 'fault' : `${alike.length} faults`, `${code}: ${meaning}`),
    ...each,
    ...(more > 0 ? row('', `- … ${more} more like these`) : []),
  ];
}

/** What a reader without a trust file would have to pin, as the file says, and where it is had. */
function pinLines({ origin, signers, trustDomains }: Asks): string[] {
  const witnesses = signers.filter((name) => name !== origin);
  const list = (names: readonly string[]) => inert(names.join(', ') || 'nobody', 400);
  return [
    ...row('not judged', 'no trust file was given, so nobody is believed and nothing is proven'),
    ...row('to be pinned', `the key of the ledger ${inert(origin, 200)}`),
    ...row('', `the keys of its witnesses, and how many must agree: ${list(witnesses)}`),
    ...row('', `the roots of ${list(trustDomains)}`),
    ...row('how', 'the operator of the swarm runs'),
    ...row('', '  swarmproof custody trust -o trust.json'),
    ...row('', 'and hands that file over by another way than this one came; then add'),
    ...row('', '  --trust trust.json'),
  ];
}
