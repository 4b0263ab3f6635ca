import { SWARM_ACCOUNT } from './server-config.ts';

/** What the broker did not let a member do, by the broker's own log. */
export interface Violation {
  readonly kind: 'publish' | 'subscribe';
  /** The name in the user JWT that the gate signed for this connection: its SPIFFE ID. */
  readonly id: string;
  /** As NATS has it, without what is no printable ASCII; `?` where the line does not tell. */
  readonly subject: string;
}

/** A subject has at most a few hundred bytes; a line that is longer is made to be long. */
const MAX_LINE = 4096;

/**
 * What nats-server 2.11 and later writes; the part before the end of a line quotes CONNECT, which
 * the client chose, so that only the end counts, and the end is without a gap: a subject, a queue
 * and a subscription id hold no space, and nothing in them can look like the marker before them.
 * The server formats a line twice, so a `%` in CONNECT can eat the subject: `%!q(…)` is what is left.
 */
const QUOTED = String.raw`"(?:[^"\\ ]|\\[^ ])*"`;
const EATEN = String.raw`%!q\((?:BADINDEX|MISSING)\)`;
const NAME = String.raw`([^"\\ ]+)`;
const HEAD = String.raw`^\[\d+\] \d{4}/\d\d/\d\d [\d:.]+ \[ERR\] \S+ - cid:\d+ - .*`;
const PUBLISH = `(?:Subject|Reply) (${QUOTED}|${EATEN})`;
const SUBSCRIBE = String.raw`Subject (${QUOTED})(?:, Queue: ${QUOTED})?, SID \S+`;
const FORMS: readonly (readonly [Violation['kind'], RegExp])[] = [
  [
    'publish',
    new RegExp(`${HEAD}"${SWARM_ACCOUNT}/user:${NAME}" - Publish Violation - ${PUBLISH}$`),
  ],
  [
    'subscribe',
    new RegExp(`${HEAD}"${SWARM_ACCOUNT}/user:${NAME}" - Subscription Violation - ${SUBSCRIBE}$`),
  ],
  // Before 2.12 the user stood behind the marker, without its account.
  ['publish', new RegExp(`${HEAD} - Publish Violation - User "${NAME}", ${PUBLISH}$`)],
  ['subscribe', new RegExp(`${HEAD} - Subscription Violation - User "${NAME}", ${SUBSCRIBE}$`)],
];

/** Reads one line of nats-server's log; `undefined` when it tells of no violation of a member. */
export function parseViolation(line: string): Violation | undefined {
  if (line.length > MAX_LINE || !line.includes(' Violation - ')) return undefined;
  for (const [kind, form] of FORMS) {
    const [, id, subject] = form.exec(line) ?? [];
    if (id !== undefined && subject !== undefined) return { kind, id, subject: plain(subject) };
  }
  return undefined;
}

/** Go's quoting undone where it hides printable ASCII; the rest is no subject of the swarm. */
function plain(quoted: string): string {
  if (!quoted.startsWith('"')) return '?';
  const text = quoted.slice(1, -1).replace(/\\(["\\])/g, '$1');
  return text === '' ? '?' : text.replace(/[^!-~]/g, '?');
}
