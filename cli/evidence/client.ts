import { z } from 'zod';
import type { RecordId } from '#custody/record.ts';
import { askControl, type ControlAddress } from '#runtime/control/client.ts';
import { UserError } from '../output.ts';

/** What of an export is witnessed; `needed` entries make all of it provable. */
export interface Coverage {
  readonly needed: number;
  readonly witnessed: number;
}

/** A running swarm as exports read it. Every method throws `UserError` when it does not answer. */
export interface EvidenceClient {
  /** Lines of evidence, the header first. Waits until they are witnessed, at most `waitMs`. */
  action(
    id: RecordId,
    options: { readonly withhold: boolean; readonly waitMs: number },
    line: (text: string) => void,
  ): Promise<Coverage>;
  /** Lines of every witnessed entry, a page at a time. */
  whole(options: { readonly withhold: boolean }): AsyncGenerator<string>;
  /** The trust file for this swarm's evidence. */
  trust(): Promise<string>;
}

const coverage = z.object({ needed: z.number(), witnessed: z.number() });
const next = z.object({ from: z.number(), to: z.number(), after: z.number() });
const page = z.object({ to: z.number(), next: next.optional() });
const pins = z.object({ trust: z.string() });

export function evidenceClient(address: ControlAddress): EvidenceClient {
  /** What fails in a part is told when the answer has ended: a socket's callback has no caller. */
  async function ask<T>(
    schema: z.ZodType<T>,
    verb: string,
    args: Readonly<Record<string, unknown>>,
    line: (text: string) => void = () => {},
  ): Promise<T> {
    const failed = new AbortController();
    let failure: unknown;
    const take = (part: unknown): void => {
      if (failed.signal.aborted) return;
      try {
        line(String(part));
      } catch (error) {
        failure = error;
        failed.abort();
      }
    };
    const answer = await askControl(address, verb, args, take, failed.signal);
    if (failed.signal.aborted) throw failure;
    if (!answer.ok) throw new UserError(tellOf(answer));
    const parsed = schema.safeParse(answer.value);
    if (parsed.success) return parsed.data;
    throw new UserError('the swarm answered in another form: was it started by another version?');
  }

  return {
    action: (id, options, line) => ask(coverage, 'evidence-action', { id, ...options }, line),
    async *whole({ withhold }) {
      // A page begins with the chains that it needs; those of a page before it are there already.
      const shown = new Set<string>();
      let after: z.infer<typeof next> | undefined;
      do {
        const lines: string[] = [];
        const args = { withhold, ...(after !== undefined && { next: after }) };
        const answer = await ask(page, 'evidence-range', args, (text) => lines.push(text));
        for (const text of lines) {
          const chain = text.startsWith('{"chain":');
          if (!chain || !shown.has(text)) yield text;
          if (chain) shown.add(text);
        }
        after = answer.next;
      } while (after !== undefined);
    },
    trust: async () => (await ask(pins, 'pins', {})).trust,
  };
}

function tellOf({ code, detail }: { readonly code: string; readonly detail: string }): string {
  if (code !== 'CONTROL_VERB_UNKNOWN') return detail;
  return 'this swarm keeps no witnessed ledger, so there is no evidence to export';
}
