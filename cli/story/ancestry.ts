import { inert } from '#agents/text.ts';
import type { RecordClaims } from '#custody/record.ts';
import { renderTree } from '#custody/tree.ts';
import type { Ancestry, EvidenceRecord, Hop } from '#custody/verify.ts';
import { pathOf, trustDomainOf } from '#identity/spiffe-id.ts';
import { paint } from '../output.ts';
import { payloadLine, tell } from './tell.ts';

export interface AncestryView {
  readonly ancestry: Ancestry;
  /** The evidence that was judged; payloads are told from it. */
  readonly records: readonly EvidenceRecord[];
}

const WIDTH = 80;
const ID_LENGTH = 8;
/** How a verdict is coloured, wherever one is drawn. */
export const VERDICT_COLOURS = {
  genuine: 'green',
  withheld: 'yellow',
  unverifiable: 'red',
  forged: 'red',
} as const;

/**
 * An ancestry as lines of text: what each record says, by whom, when, and the verdict. Calls of
 * services are folded unless `full`; then payloads are shown too.
 */
export function ancestryLines(view: AncestryView, options: { readonly full: boolean }): string[] {
  const { lines, hidden } = treeLines(view, options);
  return [...lines, '', ...summary(view.ancestry, hidden)];
}

/** The tree alone, and how many of its hops are not drawn. */
export function treeLines(
  view: AncestryView,
  options: { readonly full: boolean },
): { readonly lines: readonly string[]; readonly hidden: number } {
  const { ancestry } = view;
  const found = new Map(view.records.map((record) => [record.id, record]));
  const home = ancestry.hops.find(({ id }) => id === ancestry.root)?.claims;
  const folded = (hop: Hop): boolean => !options.full && hop.claims?.knd === 'tool.call';
  const lines = renderTree(ancestry, {
    columns: WIDTH,
    ...(options.full && { siblings: Number.POSITIVE_INFINITY }),
    folded,
    paint: (verdict, text) => paint(VERDICT_COLOURS[verdict], text),
    describe: (hop) => {
      const { claims, id } = hop;
      if (claims === undefined) return { label: id, below: [] };
      const payload = found.get(id)?.payload;
      const { what, text } = tell(claims, payload);
      const full = options.full && payload !== undefined ? [payloadLine(payload)] : [];
      const sender = `${senderOf(claims, home)}  ${id.slice(0, ID_LENGTH)}${witnessedText(hop)}`;
      return { label: `${what}: ${text}`, below: [sender, ...full] };
    },
  });
  const hidden = ancestry.hops.filter(
    (hop) => hop.id !== ancestry.root && folded(hop) && hop.reason === undefined,
  ).length;
  return { lines, hidden };
}

/** Where the hop is judged by an evidence file: the trusted time at which it was in the ledger. */
function witnessedText({ witnessed }: Hop): string {
  return witnessed === undefined ? '' : `  witnessed ${timeText(witnessed).slice(11)}`;
}

function senderOf(claims: RecordClaims, home: RecordClaims | undefined): string {
  if (home === undefined || trustDomainOf(home.iss) === trustDomainOf(claims.iss)) {
    return pathOf(claims.iss);
  }
  return claims.iss.slice('spiffe://'.length);
}

function summary({ hops, proven, root }: Ancestry, hidden: number): string[] {
  const count = (verdict: Hop['verdict']): number =>
    hops.filter((hop) => hop.verdict === verdict).length;
  const counts = (['genuine', 'withheld', 'unverifiable', 'forged'] as const)
    .filter((verdict) => count(verdict) > 0)
    .map((verdict) => `${count(verdict)} ${verdict}`);
  const records = hops.length === 1 ? '1 record' : `${hops.length} records`;
  const domain = hops.find(({ id }) => id === root)?.claims?.iss;
  const roots = domain === undefined ? 'its roots' : `the roots of ${trustDomainOf(domain)}`;
  const times = hops.flatMap(({ claims }) => (claims === undefined ? [] : [claims.iat]));
  const from = times.reduce((least, time) => Math.min(least, time), Number.POSITIVE_INFINITY);
  const word = proven ? paint('green', 'PROVEN') : paint('red', 'NOT PROVEN');
  return [
    `${word}  ${records}: ${counts.join(', ')}; judged here, under ${roots}`,
    ...(Number.isFinite(from) ? [`        times count from ${timeText(from)}`] : []),
    ...(hidden > 0 ? [`        not drawn: ${hidden} calls of services (see --full)`] : []),
  ];
}

export function timeText(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace('.000', '');
}

/** The first hop that is neither genuine nor withheld, in one line; `undefined` when all are. */
export function badHop({ firstBad }: Ancestry): string | undefined {
  if (firstBad === undefined) return undefined;
  const { id, verdict, claims, code } = firstBad;
  const reason = inert(firstBad.reason ?? '', 200);
  const by = claims === undefined ? '' : ` by ${pathOf(claims.iss)}`;
  return `record ${id.slice(0, ID_LENGTH)}${by} is ${verdict}: ${code === undefined ? '' : `${code}, `}${reason}`;
}

/** The same for programs. */
export function ancestryJson({ ancestry, records }: AncestryView) {
  const found = new Map(records.map((record) => [record.id, record]));
  const hopJson = (hop: Hop) => {
    const { id, verdict, claims, code, reason, witnessed } = hop;
    const evidence = found.get(id);
    return {
      id,
      verdict,
      ...(code !== undefined && { code }),
      ...(reason !== undefined && { reason }),
      ...(witnessed !== undefined && { witnessed: timeText(witnessed) }),
      ...(claims !== undefined && {
        by: claims.iss,
        at: new Date(claims.iat * 1000).toISOString(),
        ...tell(claims, evidence?.payload),
        causes: claims.par,
        claims,
      }),
      ...(evidence?.payload !== undefined && {
        payload: Buffer.from(evidence.payload).toString('base64'),
      }),
    };
  };
  return {
    root: ancestry.root,
    proven: ancestry.proven,
    ...(ancestry.firstBad !== undefined && { firstBad: ancestry.firstBad.id }),
    hops: ancestry.hops.map(hopJson),
  };
}
