import { shownDetail } from './shown.ts';

/** Lines about strangers that are refused: as many as a person reads, whoever tries how often. */
export interface RefusalLog {
  /** @param from whoever asked, without what is new each time such as a port */
  note(from: string, code: string, detail: string): void;
  close(): void;
}

/** A caller that is refused again and again is told of once in so long, with a number. */
const EVERY_MS = 60_000;
/** Callers of which something is remembered at a time; of the rest only how many there were. */
const REMEMBERED = 256;

interface Repeated {
  readonly from: string;
  readonly code: string;
  more: number;
}

/** @param tell one line, for a log */
export function createRefusalLog(tell: (line: string) => void): RefusalLog {
  const known = new Map<string, Repeated>();
  let others = 0;
  const summary = (): void => {
    for (const [key, one] of known) {
      if (one.more > 0) tell(`${one.from} refused ${one.more} more times: ${one.code}`);
      // Quiet for one whole turn: the next refusal is news again.
      if (one.more === 0) known.delete(key);
      one.more = 0;
    }
    if (others > 0) tell(`${others} more refusals of other callers`);
    others = 0;
  };
  const timer = setInterval(summary, EVERY_MS);
  timer.unref();
  return {
    note: (from, code, detail) => {
      const key = `${from} ${code}`;
      const before = known.get(key);
      if (before !== undefined) before.more += 1;
      else if (known.size >= REMEMBERED) others += 1;
      else {
        known.set(key, { from, code, more: 0 });
        // A stranger's words may be in it.
        tell(`${from} refused: ${code}: ${shownDetail(detail)}`);
      }
    },
    close: () => {
      clearInterval(timer);
      summary();
    },
  };
}
