import { audienceKey } from '#custody/record/audience.ts';
import type { RecordClaims } from '#custody/record.ts';

/** Which messages of each sender were missed, by the numbers of those that came. */
export interface GapWatch {
  /** A verified message came. */
  came(sender: string, claims: Numbers): void;
  /** A message came and was refused, which is told elsewhere: no gap. Its claims prove nothing. */
  refused(sender: string, claims: Numbers): void;
  /** Sender → how many of its messages are missing. */
  missing(): ReadonlyMap<string, number>;
}

export type Numbers = Pick<RecordClaims, 'sid' | 'aud' | 'rsq'>;

/** Subscriptions may overtake each other, and a sender repeats what it could not send after 3 s. */
const PATIENCE_MS = 5000;
/** A record lives 30 s: then its sender has signed it anew, under another number. */
const REMEMBERED_MS = 30_000;
const MAX_SENDERS = 1024;
/** Of a session; its sender pushes out only its own. */
const MAX_AUDIENCES = 16;
const MAX_MISSING = 256;

/** One session of a sender: its messages are numbered for each audience by itself. */
interface Session {
  readonly sid: string;
  readonly rows: Map<string, Row>;
}

interface Row {
  last: number;
  /** `rsq` → when its absence was seen, milliseconds. */
  readonly missing: Map<number, number>;
  /** Refused, and beyond `last`, which only what is verified moves. */
  readonly ahead: Set<number>;
}

/**
 * The first message of a session says nothing about those before it: they may have come to the former
 * process of this name, and their sender knows whether they were acknowledged.
 */
export function createGapWatch(options: {
  /** Milliseconds of any start. */
  readonly now: () => number;
}): GapWatch {
  const { now } = options;
  const sessions = new Map<string, Session>();

  function rowsOf(sender: string, sid: string): Map<string, Row> {
    const known = sessions.get(sender);
    if (known?.sid === sid) return known.rows;
    if (known === undefined) makeRoom(sessions, MAX_SENDERS);
    const made = { sid, rows: new Map<string, Row>() };
    sessions.set(sender, made);
    return made.rows;
  }

  return {
    came(sender, claims) {
      const { rsq } = claims;
      const key = audienceKey(claims.aud);
      const rows = rowsOf(sender, claims.sid);
      const row = rows.get(key);
      if (row === undefined) {
        makeRoom(rows, MAX_AUDIENCES);
        rows.set(key, { last: rsq, missing: new Map(), ahead: new Set() });
        return;
      }
      row.missing.delete(rsq);
      const from = Math.max(row.last + 1, rsq - MAX_MISSING);
      for (let missed = from; missed < rsq; missed += 1) {
        if (!row.ahead.has(missed)) row.missing.set(missed, now());
      }
      row.last = Math.max(row.last, rsq);
      for (const refused of row.ahead) if (refused <= row.last) row.ahead.delete(refused);
    },
    refused(sender, claims) {
      const session = sessions.get(sender);
      const row = session?.sid === claims.sid && session.rows.get(audienceKey(claims.aud));
      if (row === undefined || row === false) return;
      row.missing.delete(claims.rsq);
      if (claims.rsq > row.last && row.ahead.size < MAX_MISSING) row.ahead.add(claims.rsq);
    },
    missing() {
      const at = now();
      const found = new Map<string, number>();
      for (const [sender, { rows }] of sessions) {
        let count = 0;
        for (const { missing } of rows.values()) count += countMissing(missing, at);
        if (count > 0) found.set(sender, count);
      }
      return found;
    },
  };
}

function countMissing(missing: Row['missing'], at: number): number {
  let count = 0;
  for (const [rsq, since] of missing) {
    if (at - since > REMEMBERED_MS) missing.delete(rsq);
    else if (at - since >= PATIENCE_MS) count += 1;
  }
  return count;
}

function makeRoom(map: Map<string, unknown>, most: number): void {
  const oldest = map.size >= most ? map.keys().next() : undefined;
  if (oldest?.done === false) map.delete(oldest.value);
}
