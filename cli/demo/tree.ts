import type { RecordClaims, RecordId } from '#custody/record.ts';
import type { Ancestry, EvidenceRecord, Hop } from '#custody/verify.ts';
import { pathOf } from '#identity/spiffe-id.ts';
import { paint } from '../output.ts';
import { VERDICT_COLOURS } from '../story/ancestry.ts';
import { readOrder } from '../story/payload.ts';
import { tell } from '../story/tell.ts';
import { since } from './screen.ts';

/** Wide enough for the longest name of a tool or a record of the demo's swarm. */
const WHAT = 17;
const WHO = 34;

/**
 * An ancestry in one line a record: what, by whom, when, and the verdict. Calls of services are
 * left out, their answers stand where they were used; what has several effects is drawn once.
 * @param start milliseconds since the epoch; times count from it
 */
export function shortTree(
  ancestry: Ancestry,
  records: readonly EvidenceRecord[],
  start: number,
): string[] {
  const hops = new Map(ancestry.hops.map((hop) => [hop.id, hop]));
  const evidence = new Map(records.map((record) => [record.id, record]));
  const lines: string[] = [];
  const drawn = new Set<RecordId>();
  const draw = (hop: Hop, lead: string, rest: string): void => {
    drawn.add(hop.id);
    lines.push(lineOf(hop, evidence.get(hop.id), lead, start));
    const causes = causesOf(hop, hops, drawn);
    // All at once: what a finding names itself stands under it, not under an answer it shares.
    for (const { id } of causes) drawn.add(id);
    for (const [index, cause] of causes.entries()) {
      const last = index === causes.length - 1;
      draw(cause, `${rest}${last ? '└ ' : '├ '}`, `${rest}${last ? '  ' : '│ '}`);
    }
  };
  const root = hops.get(ancestry.root);
  if (root !== undefined) draw(root, '  ', '  ');
  return lines;
}

/** Those not drawn yet: the latest answers first, then what they were asked about. */
function causesOf(
  hop: Hop,
  hops: ReadonlyMap<RecordId, Hop>,
  drawn: ReadonlySet<RecordId>,
): readonly Hop[] {
  const found = new Map<RecordId, Hop>();
  const add = (ids: readonly RecordId[]): void => {
    for (const id of ids) {
      const cause = hops.get(id);
      if (cause === undefined || drawn.has(id) || found.has(id)) continue;
      if (cause.claims?.knd === 'tool.call') add(cause.claims.par);
      else found.set(id, cause);
    }
  };
  add(hop.claims?.par ?? []);
  const answers = [...found.values()].filter(({ claims }) => claims?.knd === 'tool.result');
  return [...answers.reverse(), ...[...found.values()].filter((one) => !answers.includes(one))];
}

function lineOf(
  { claims, verdict, reason }: Hop,
  evidence: EvidenceRecord | undefined,
  lead: string,
  start: number,
): string {
  const what = claims === undefined ? 'not in the ledger' : nameOf(claims, evidence?.payload);
  const who = claims === undefined ? '' : pathOf(claims.iss);
  const at = claims === undefined ? '' : since(start, evidence?.at ?? claims.iat * 1000);
  // The gateway signs what a model or a tool said; those sign nothing themselves.
  const unsigned = claims?.tool?.kind === 'chat' ? ', unsigned' : '';
  const bad = verdict === 'genuine' || reason === undefined ? '' : `: ${reason}`;
  const left = `${lead}${what}`.padEnd(WHAT + 2);
  return `${left}${who.padEnd(WHO)} ${at.padStart(5)} ${paint(VERDICT_COLOURS[verdict], verdict)}${unsigned}${bad}`;
}

function nameOf(claims: RecordClaims, payload: Uint8Array | undefined): string {
  const order = payload === undefined ? undefined : readOrder(payload);
  if (claims.knd === 'act') return order?.tool ?? 'act';
  if (claims.knd === 'tool.result' && claims.iss.endsWith('/service/vector')) return 'runbook';
  return tell(claims, payload).what;
}
