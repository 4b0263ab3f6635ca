import { inert } from '#agents/text.ts';
import { isExpired, type RegistrationEntry, selectorText } from '#identity/issuer/entry.ts';
import type { Issuance } from '#identity/issuer/log.ts';
import { columns, paint } from '../output.ts';
import type { FollowedLog, Node, Stored } from './client.ts';

const WIDTH = 80;
const ID = 12;
const SHOWN_ID = 40;

const text = (foreign: string): string => inert(foreign, 4096);

function pathOf(spiffeId: string): string {
  return text(spiffeId.replace(/^spiffe:\/\/[^/]*/, ''));
}

function cut(line: string): string {
  return line.length <= WIDTH ? line : `${line.slice(0, WIDTH - 1)}…`;
}

function end({ expires_at: seconds }: RegistrationEntry, now: Date): string {
  if (seconds === 0) return 'never';
  const left = Math.ceil(seconds - now.getTime() / 1000);
  if (left <= 0) return 'over';
  return left < 1000 ? `${left}s` : `${Math.floor(left / 3600)}h`;
}

/** One line an entry: what it gives, and where it comes from. */
export function entryLines(stored: readonly Stored[], now: Date): string[] {
  const rows = stored.map(({ entry, origin }) => [
    text(entry.id).slice(0, ID),
    origin,
    `${entry.x509_svid_ttl}s`,
    `${entry.jwt_svid_ttl}s`,
    end(entry, now),
    String(entry.selectors.length),
    pathOf(entry.spiffe_id),
  ]);
  const head = ['entry', 'from', 'x509', 'jwt', 'ends', 'sel', 'SPIFFE path'];
  const [title = '', ...lines] = columns([head, ...rows]).map(cut);
  const added = stored.filter(({ origin }) => origin === 'added').length;
  return [
    paint('dim', title),
    ...lines.map((line, index) => {
      const entry = stored[index]?.entry;
      return entry !== undefined && isExpired(entry, now) ? paint('dim', line) : line;
    }),
    '',
    `${stored.length} ${stored.length === 1 ? 'entry' : 'entries'}: ${stored.length - added} of the swarm file, ${added} added`,
  ];
}

/** Everything of one entry, as `spire-server entry show` names it. */
export function entryDetail({ entry, origin }: Stored, now: Date): string[] {
  const from = origin === 'file' ? 'the swarm file' : 'added while the swarm ran';
  const rows: [string, string][] = [
    ['Entry ID', entry.id],
    ['SPIFFE ID', entry.spiffe_id],
    ['Parent ID', entry.parent_id],
    ['Revision', String(entry.revision_number)],
    ['X509-SVID TTL', String(entry.x509_svid_ttl)],
    ['JWT-SVID TTL', String(entry.jwt_svid_ttl)],
    ...entry.selectors.map((one): [string, string] => ['Selector', selectorText(one)]),
    ...entry.dns_names.map((name): [string, string] => ['DNS name', name]),
    ...entry.federates_with.map((name): [string, string] => ['FederatesWith', name]),
    ...(entry.hint === '' ? [] : [['Hint', entry.hint] as [string, string]]),
    ...(entry.jwt_svid_include_jti ? [['JwtSvidIncludeJti', 'true'] as [string, string]] : []),
    ['Ends', endDetail(entry, now)],
    ['Created', new Date(entry.created_at * 1000).toISOString()],
    ['From', from],
  ];
  return rows.map(([name, value]) => `${name.padEnd(18)}: ${text(value)}`);
}

function endDetail(entry: RegistrationEntry, now: Date): string {
  if (entry.expires_at === 0) return 'never';
  const at = new Date(entry.expires_at * 1000).toISOString();
  return isExpired(entry, now) ? `${at}, over: it gives nothing` : at;
}

/** One line a node: its ID is what entries name as their parent. */
export function nodeLines(nodes: readonly Node[], now: Date): string[] {
  if (nodes.length === 0) return ["no node has joined; 'identity token' lets one in"];
  const ago = (seconds: number | undefined): string => {
    if (seconds === undefined) return 'not yet';
    const past = Math.max(0, Math.round(now.getTime() / 1000 - seconds));
    return past < 1000 ? `${past}s ago` : `${Math.floor(past / 3600)}h ago`;
  };
  const rows = nodes.map((one) => {
    const left = Math.ceil(one.expiresAt - now.getTime() / 1000);
    return [ago(one.joinedAt), ago(one.seenAt), left > 0 ? `${left}s` : 'over', text(one.id)];
  });
  const [title = '', ...lines] = columns([['joined', 'seen', 'SVID ends', 'node'], ...rows]);
  return [paint('dim', title), ...lines];
}

/** What an operation did to an entry. */
export function didLine(what: 'added' | 'removed', { entry }: Stored): string {
  return `${what} ${text(entry.id).slice(0, SHOWN_ID)}  ${text(entry.spiffe_id)}`;
}

/** A row's body; the issuer wrote it, but of what a caller asked for. */
export function issuanceOf(body: string): Partial<Issuance> {
  try {
    const value: unknown = JSON.parse(body);
    return typeof value === 'object' && value !== null ? value : {};
  } catch {
    return {};
  }
}

/** The last rows of the issuance log, and what following its chain has shown. */
export function issuedLines(log: FollowedLog): string[] {
  const rows = log.rows.map(({ seq, body }) => {
    const one = issuanceOf(body);
    const [from, to] = [Number(one.issued_at ?? 0), Number(one.not_after ?? 0)];
    const what = one.kind === 'jwt' ? `to ${one.audience?.join(', ')}` : String(one.serial ?? '');
    return [
      String(seq),
      new Date(from * 1000).toISOString().slice(11, 19),
      one.kind ?? 'x509',
      `${to - from}s`,
      text(String(one.entry_id ?? '')).slice(0, 8),
      one.kind === 'jwt' ? text(what).slice(0, 12) : what.slice(-12),
      pathOf(String(one.spiffe_id ?? '')),
    ];
  });
  const head = ['row', 'time', 'kind', 'life', 'entry', 'serial', 'SPIFFE path'];
  const [title = '', ...lines] = columns([head, ...rows]).map(cut);
  return [paint('dim', title), ...lines, '', chainLine(log)];
}

function chainLine({ head, broken }: FollowedLog): string {
  return broken === undefined
    ? `chain: rows 1 to ${head.seq} follow one another, head ${head.hash.slice(0, 16)}…`
    : paint('red', `chain: broken after row ${head.seq}: ${text(broken)}`);
}
