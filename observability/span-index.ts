import type { WireSpan } from './wire.ts';

/** Enough to open one span in a viewer, and to say what it shows. */
export interface FoundSpan {
  /** The process that handed it over, as the supervisor calls it: it is that process's word. */
  readonly process: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly name: string;
  readonly error: boolean;
  readonly attributes: WireSpan['attributes'];
}

export interface SpanIndex {
  add(process: string, span: WireSpan): void;
  /** Spans about a record that passed lately, the refused ones first. */
  find(recordId: string): readonly FoundSpan[];
  /** The first span about a record that fits: one that passed, or one still to come. */
  wait(
    recordId: string,
    options: { readonly timeoutMs: number; readonly fits?: (span: FoundSpan) => boolean },
  ): Promise<FoundSpan | undefined>;
  close(): void;
}

/** Records remembered: errors apart from the rest, for ordinary traffic must not push them out. */
const MAX_RECORDS = { fine: 2048, errors: 8192 };
/** Of one process: no other can take their places. */
const MAX_SPANS = 4;
const MAX_PROCESSES = 8;
const MAX_WAITING = 256;

/** Bounded memory of what passed through, by `custody.record.id`. */
export function createSpanIndex(): SpanIndex {
  const fine = new Map<string, FoundSpan[]>();
  const errors = new Map<string, FoundSpan[]>();
  const waiting = new Map<string, Set<(span: FoundSpan) => void>>();
  let open = 0;

  function keep(map: Map<string, FoundSpan[]>, limit: number, id: string, span: FoundSpan): void {
    const known = map.get(id);
    if (known !== undefined) {
      const own = known.filter(({ process }) => process === span.process).length;
      if (own < MAX_SPANS && known.length < MAX_SPANS * MAX_PROCESSES) known.push(span);
      return;
    }
    map.set(id, [span]);
    if (map.size <= limit) return;
    const oldest = map.keys().next();
    if (!oldest.done) map.delete(oldest.value);
  }

  const find = (recordId: string): readonly FoundSpan[] => [
    ...(errors.get(recordId) ?? []),
    ...(fine.get(recordId) ?? []),
  ];

  return {
    add(process, wire) {
      const id = wire.attributes['custody.record.id'];
      if (typeof id !== 'string') return;
      const { trace: traceId, span: spanId, name, error, attributes } = wire;
      const found: FoundSpan = { process, traceId, spanId, name, error, attributes };
      if (error) keep(errors, MAX_RECORDS.errors, id, found);
      else keep(fine, MAX_RECORDS.fine, id, found);
      for (const tell of waiting.get(id) ?? []) tell(found);
    },
    find,
    async wait(recordId, { timeoutMs, fits = () => true }) {
      const there = find(recordId).find(fits);
      if (there !== undefined || open >= MAX_WAITING) return there;
      const { promise, resolve } = Promise.withResolvers<FoundSpan | undefined>();
      const tell = (span: FoundSpan): void => {
        if (fits(span)) resolve(span);
      };
      const those = waiting.get(recordId) ?? new Set();
      waiting.set(recordId, those.add(tell));
      open += 1;
      const late = setTimeout(resolve, timeoutMs, undefined);
      const span = await promise;
      clearTimeout(late);
      open -= 1;
      those.delete(tell);
      if (those.size === 0) waiting.delete(recordId);
      return span;
    },
    close() {
      fine.clear();
      errors.clear();
    },
  };
}
