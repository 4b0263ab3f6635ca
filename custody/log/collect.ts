import type { Accepted, Refused } from '#identity/outcome.ts';
import { addCosignature } from './checkpoint.ts';
import type { WitnessRequest } from './witness.ts';

/** A witness as its log sees it. It never rejects, and answers in a bounded time. */
export interface WitnessPeer {
  readonly name: string;
  /** Signature lines, each with its newline, or why not. Foreign input until it is verified. */
  add(
    request: WitnessRequest,
  ): Promise<Accepted<string> | (Refused<string> & { readonly size?: number })>;
}

/** Why a witness does not cosign what the log holds. */
export interface WitnessDoubt {
  readonly name: string;
  readonly code: string;
  readonly detail: string;
  /** It cosigned a larger tree before than the log has now: entries are gone. */
  readonly ahead?: number;
}

export interface Collected {
  /** The note with all cosignature lines that came. */
  readonly note: string;
  readonly doubts: readonly WitnessDoubt[];
}

export interface Collector {
  /**
   * Asks every witness that is not busy with an earlier request, and resolves when `enough` says so
   * of the note as it is then, or when all have answered.
   */
  collect(head: {
    readonly note: string;
    readonly size: number;
    readonly consistency: (oldSize: number) => readonly Uint8Array[];
    /** Is this what a pinned witness signs? One bad line would spoil the whole note. */
    readonly valid: (line: string) => boolean;
    readonly enough: (note: string) => boolean;
  }): Promise<Collected>;
}

const FORGED = {
  code: 'NOTE_SIGNATURE_INVALID',
  detail: 'the cosignature does not verify',
} as const;

/** Between one answer and the next of a witness its memory may move; then it says where it is. */
const MAX_TRIES = 3;

/** Remembers of each witness what it cosigned last; a witness that knows better says so. */
export function createCollector(witnesses: readonly WitnessPeer[]): Collector {
  const sizes = new Map<string, number>();
  const busy = new Set<string>();

  async function ask(
    witness: WitnessPeer,
    head: Parameters<Collector['collect']>[0],
  ): Promise<Accepted<string> | { readonly ok: false; readonly doubt: WitnessDoubt }> {
    const { name } = witness;
    for (let tries = 1; ; tries += 1) {
      const oldSize = sizes.get(name) ?? 0;
      const ahead = oldSize > head.size;
      const proof = ahead ? [] : head.consistency(oldSize);
      const answer = await witness.add({ oldSize, proof, checkpoint: head.note });
      if (answer.ok) {
        sizes.set(name, head.size);
        return answer;
      }
      const { code, detail, size } = answer;
      const elsewhere = size !== undefined && size !== oldSize;
      if (elsewhere) sizes.set(name, size);
      if (elsewhere && size <= head.size && tries < MAX_TRIES) continue;
      const doubt = {
        name,
        code,
        detail,
        ...(size !== undefined && size > head.size && { ahead: size }),
      };
      // What it is said to remember is not remembered here: it may have been restored meanwhile.
      if (size === undefined || size > head.size) sizes.delete(name);
      return { ok: false, doubt };
    }
  }

  return {
    collect(head) {
      const { promise, resolve } = Promise.withResolvers<Collected>();
      const doubts: WitnessDoubt[] = [];
      let { note } = head;
      const idle = witnesses.filter(({ name }) => !busy.has(name));
      let open = idle.length;
      const settle = (): void => {
        if (open === 0 || head.enough(note)) resolve({ note, doubts });
      };
      settle();
      for (const witness of idle) {
        busy.add(witness.name);
        void ask(witness, head).then((answer) => {
          busy.delete(witness.name);
          open -= 1;
          if (!answer.ok) doubts.push(answer.doubt);
          else if (head.valid(answer.value)) note = addCosignature(note, answer.value);
          else doubts.push({ name: witness.name, ...FORGED });
          settle();
        });
      }
      return promise;
    },
  };
}
