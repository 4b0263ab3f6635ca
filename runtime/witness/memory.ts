import { createHash } from 'node:crypto';
import { decodeBase64, encodeBase64 } from '#custody/base64url.ts';
import { parseCheckpoint } from '#custody/log/checkpoint.ts';
import { parseNote } from '#custody/log/note.ts';
import type { WitnessMemory } from '#custody/log/witness.ts';

/** What a witness last cosigned of each log, by origin. */
export type Memories = ReadonlyMap<string, WitnessMemory>;

const FIRST_LINE = 'witness-memory/v1';

function sumOf(body: string): string {
  return createHash('sha256').update(body).digest('hex');
}

/** The file: first line, SHA-256 of the rest in hex, JSON. The sum is against damage, not forgers. */
export function formatMemories(memories: Memories): string {
  const logs = [...memories].map(([origin, { size, root, note, time }]) => ({
    origin,
    size,
    root: encodeBase64(root),
    note,
    time,
  }));
  const body = `${JSON.stringify(logs)}\n`;
  return `${FIRST_LINE}\n${sumOf(body)}\n${body}`;
}

/** `undefined` when a byte of the file is not what was written. */
export function parseMemories(text: string): Memories | undefined {
  const [first, sum, ...rest] = text.split('\n');
  const body = rest.join('\n');
  if (first !== FIRST_LINE || sum !== sumOf(body)) return undefined;
  try {
    const logs: unknown = JSON.parse(body);
    if (!Array.isArray(logs)) return undefined;
    const memories = new Map<string, WitnessMemory>();
    for (const log of logs) {
      const memory = memoryOf(log);
      if (memory === undefined) return undefined;
      memories.set(...memory);
    }
    return memories;
  } catch {
    return undefined;
  }
}

function memoryOf(log: unknown): [string, WitnessMemory] | undefined {
  const { origin, size, root, note, time } = Object(log) as Readonly<Record<string, unknown>>;
  if (typeof origin !== 'string' || typeof note !== 'string' || typeof root !== 'string') {
    return undefined;
  }
  if (typeof time !== 'number' || !Number.isSafeInteger(time)) return undefined;
  const parsed = parseNote(note);
  const head = parsed.ok ? parseCheckpoint(parsed.value.text) : parsed;
  const hash = decodeBase64(root);
  // The note says what was cosigned; size and root beside it must say the same.
  if (!head.ok || hash === undefined || head.value.origin !== origin) return undefined;
  if (head.value.size !== size || encodeBase64(head.value.root) !== root) return undefined;
  return [origin, { size, root: hash, note, time }];
}
