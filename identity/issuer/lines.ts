import type { Duplex } from 'node:stream';

/** Room for the entries of a few thousand agents; a longer line ends the link. */
export const MAX_LINE_BYTES = 4 * 1024 * 1024;

export interface LineHandlers {
  line(text: string): void;
  /** Once: after the other side ended, an I/O error, bytes that are not UTF-8, or a longer line. */
  closed(reason: 'ended' | 'too-long' | 'not-utf8'): void;
}

export interface LineChannel {
  /** Writes one JSON value as one line; does nothing after the end. */
  send(value: unknown): void;
  close(): void;
}

/** Newline-delimited UTF-8 over a duplex stream, with a bounded line. */
export function openLines(
  duplex: Duplex,
  handlers: LineHandlers,
  maxLine: number = MAX_LINE_BYTES,
): LineChannel {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let pending: Buffer[] = [];
  let size = 0;
  let open = true;

  const finish = (reason: Parameters<LineHandlers['closed']>[0]): void => {
    if (!open) return;
    open = false;
    pending = [];
    duplex.destroy();
    handlers.closed(reason);
  };

  const take = (part: Buffer): void => {
    const bytes = pending.length === 0 ? part : Buffer.concat([...pending, part]);
    pending = [];
    size = 0;
    let text: string;
    try {
      text = decoder.decode(bytes);
    } catch {
      finish('not-utf8');
      return;
    }
    if (text !== '') handlers.line(text);
  };

  duplex.on('data', (chunk: Buffer | string) => {
    let rest = typeof chunk === 'string' ? Buffer.from(chunk, 'utf8') : chunk;
    while (open) {
      const end = rest.indexOf(0x0a);
      const part = end === -1 ? rest : rest.subarray(0, end);
      if (size + part.length > maxLine) return finish('too-long');
      if (end === -1) {
        if (part.length > 0) pending.push(part);
        size += part.length;
        return;
      }
      take(part);
      rest = rest.subarray(end + 1);
    }
  });
  duplex.on('end', () => finish('ended'));
  duplex.on('close', () => finish('ended'));
  duplex.on('error', () => finish('ended'));

  return {
    send: (value) => {
      if (open && duplex.writable) duplex.write(`${JSON.stringify(value)}\n`);
    },
    close: () => finish('ended'),
  };
}
