import type { Incoming } from './nats.ts';

/**
 * During a rotation two connections carry the same subscription, so each message comes twice and
 * the copies interleave. This lets the older connection's messages through, holds the newer's,
 * and when the older is empty (`settle`) lets through what only the newer one had. Without it a
 * rotation would look like a replay, or like reordering, to the door.
 */
export interface Merge {
  /** A further connection; returns its number. */
  add(): number;
  push(from: number, message: Incoming): void;
  /** The oldest connection has delivered everything, and the next one its copies of that. */
  settle(): void;
}

function keyOf(message: Incoming): string {
  const { headers } = message;
  let custody = '';
  if (headers !== undefined && headers !== 'malformed') {
    for (const [name, values] of headers) if (name === 'Custody') custody = values.join(' ');
  }
  // JetStream numbers each delivery in the reply subject, a record's JWS is unique by its jti.
  const identified = custody !== '' || message.reply !== undefined;
  const rest = identified ? '' : Buffer.from(message.data).toString('latin1');
  return `${message.subject} ${message.reply ?? ''} ${custody} ${message.status} ${rest}`;
}

export function createMerge(on: (message: Incoming) => void): Merge {
  let oldest = 1;
  let newest = 0;
  let held: { readonly from: number; readonly message: Incoming }[] = [];
  const delivered = new Set<string>();

  function push(from: number, message: Incoming): void {
    if (from < oldest) return;
    if (from > oldest) {
      held.push({ from, message });
      return;
    }
    if (newest > oldest) delivered.add(keyOf(message));
    on(message);
  }

  return {
    add() {
      newest += 1;
      return newest;
    },
    push,
    settle() {
      if (newest === oldest) return;
      oldest += 1;
      const waiting = held;
      held = [];
      const seen = new Set(delivered);
      delivered.clear();
      for (const { from, message } of waiting) {
        if (from > oldest) held.push({ from, message });
        else if (!seen.has(keyOf(message))) push(from, message);
      }
    },
  };
}
