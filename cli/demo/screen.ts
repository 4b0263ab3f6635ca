import { paint } from '../output.ts';

/** `0:06`, counted from `start`; both in milliseconds since the epoch. */
export function since(start: number, at: number): string {
  const seconds = Math.max(0, Math.floor((at - start) / 1000));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
}

/** Where the demo tells what it observed, 80 columns wide. */
export interface Screen {
  /** One event: when it happened (milliseconds since the epoch), what, who, and the facts. */
  event(at: number, what: string, who: string, text: string): void;
  say(line?: string): void;
}

export function createScreen(start: number, say: (line?: string) => void): Screen {
  return {
    say,
    event: (at, what, who, text) =>
      say(`${since(start, at)} ${paint('cyan', what.padEnd(8))} ${who.padEnd(11)} ${text}`),
  };
}
