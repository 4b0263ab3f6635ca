/** What the ledger is asked to enter, in order, until it says that it holds it. */
export interface Entering {
  /** `entered` is called once, when the ledger holds the note. */
  enter(note: string, entered?: () => void): void;
  /** The ledger said that it holds this note. */
  entered(note: string): void;
  /** Another ledger process takes statements from now on: it is given all of them again. */
  repeat(): void;
  /** How many the ledger has not confirmed. */
  waiting(): number;
  close(): void;
}

/** A ledger that could not store a note says nothing; it is asked again. */
const REPEAT_MS = 2000;

interface Waiting {
  readonly entered: () => void;
  /** Milliseconds. */
  told: number;
}

/** @param send gives one note to the ledger process, where there is one */
export function createEntering(options: {
  readonly send: (note: string) => void;
  /** Milliseconds. */
  readonly clock: () => number;
}): Entering {
  const { send, clock } = options;
  const waiting = new Map<string, Waiting>();

  function tell(note: string, one: Waiting): void {
    one.told = clock();
    send(note);
  }

  const timer = setInterval(() => {
    for (const [note, one] of waiting) if (clock() - one.told >= REPEAT_MS) tell(note, one);
  }, REPEAT_MS / 2);
  timer.unref();

  return {
    enter: (note, entered = () => {}) => {
      if (waiting.has(note)) return;
      const one = { entered, told: 0 };
      waiting.set(note, one);
      tell(note, one);
    },
    entered: (note) => {
      const one = waiting.get(note);
      if (one === undefined) return;
      waiting.delete(note);
      one.entered();
    },
    repeat: () => {
      for (const [note, one] of waiting) tell(note, one);
    },
    waiting: () => waiting.size,
    close: () => clearInterval(timer),
  };
}
