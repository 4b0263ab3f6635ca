import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import {
  assembleAction,
  assembleRange,
  continueRange,
  type LedgerCopy,
  witnessedSize,
} from '#custody/evidence/assemble.ts';
import { formatEvidenceLine } from '#custody/evidence/format.ts';
import { formatTrust, type Trust } from '#custody/evidence/trust.ts';
import { type EvidenceSource, evidenceParts } from '#custody/evidence/write.ts';
import type { LedgerQueries } from '#custody/ledger/queries.ts';
import { parseVerifierKey } from '#custody/log/keys.ts';
import type { MerkleTree } from '#custody/log/merkle.ts';
import type { Rollover } from '#custody/log/rollover.ts';
import type { RecordId } from '#custody/record.ts';
import { accept, refuse } from '#identity/outcome.ts';
import { parseSpiffeId, type SpiffeId } from '#identity/spiffe-id.ts';
import type { BundleSet } from '#identity/svid.ts';
import type { ControlVerb } from '#runtime/control/server.ts';
import type { CustodyPins } from '#runtime/process-protocol.ts';

/** What evidence is made of: a copy of the ledger, and whom its readers are to pin. */
export interface ServedEvidence {
  readonly ledger: Pick<LedgerQueries, 'get' | 'children' | 'chain' | 'list'> & {
    /** Over all entries, each as the ledger's own tree hashes it. */
    readonly tree: Pick<MerkleTree, 'inclusion' | 'consistency'>;
    /** Notes that a quorum cosigned, ascending by size. */
    checkpoints(): readonly string[];
  };
  /** From which size of the log on which keys are in force. */
  readonly policies: () => readonly Rollover[];
  readonly pins: () => Pick<CustodyPins, 'origin' | 'attester' | 'bootstrap'>;
  readonly trust: () => BundleSet;
  readonly members: readonly SpiffeId[];
}

const MAX_WAIT_MS = 60_000;
const LOOK_EVERY_MS = 100;
/** Entries in one answer: the supervisor has more to do than to hash. */
const PAGE = 250;

const withhold = z.boolean().default(false);
const actionArgs = z.strictObject({
  id: z.string().max(64),
  withhold,
  waitMs: z.int().nonnegative().max(MAX_WAIT_MS).default(0),
});
const rangeArgs = z.strictObject({
  from: z.int().nonnegative().default(0),
  withhold,
  /** Where an answer before this one has ended. */
  next: z
    .strictObject({ from: z.int().nonnegative(), to: z.int().nonnegative(), after: z.int() })
    .optional(),
});

/** Evidence out of a running swarm, and what its readers pin. Judged is it by whoever asks. */
export function evidenceVerbs(served: ServedEvidence) {
  const copy = (): LedgerCopy => ({
    origin: served.pins().origin,
    entries: served.ledger,
    tree: served.ledger.tree,
    checkpoints: served.ledger.checkpoints(),
  });

  function send(source: EvidenceSource, part: (line: unknown) => void): number {
    let after = source.after ?? 0;
    for (const one of evidenceParts(source)) {
      if (one.kind === 'entry' && one.entry.size > 0) after = one.entry.size;
      part(formatEvidenceLine(one));
    }
    return after;
  }

  return {
    'evidence-action': async (args, part, signal) => {
      const { id, withhold, waitMs } = actionArgs.parse(args);
      const until = performance.now() + waitMs;
      for (;;) {
        const found = assembleAction(copy(), id as RecordId, () => withhold);
        if (found === undefined) return refuse('RECORD_UNKNOWN', `no record has the id ${id}`);
        const { needed, witnessed } = found;
        const late = (): boolean => performance.now() >= until || signal.aborted;
        if (witnessed >= needed || late()) {
          send(found, part);
          return accept({ needed, witnessed });
        }
        // Then it is put together anew: what was needed may have become more.
        while (witnessedSize(served.ledger.checkpoints()) < needed && !late()) {
          await pause(LOOK_EVERY_MS);
        }
      }
    },
    /** One page of a range; the answer says where the next one begins, if there is one. */
    'evidence-range': async (args, part) => {
      const { from, withhold, next } = rangeArgs.parse(args);
      if (next !== undefined) {
        const { to } = next;
        const after = send(
          continueRange(copy(), next, PAGE, () => withhold),
          part,
        );
        const reached = Math.min(to, next.from + PAGE);
        return accept({ to, ...(reached < to && { next: { from: reached, to, after } }) });
      }
      const whole = assembleRange(copy(), from, () => withhold);
      const to = whole.needed;
      const entries = [...whole.entries].slice(0, PAGE);
      const after = send({ ...whole, entries }, part);
      const reached = from + entries.length;
      return accept({ to, ...(reached < to && { next: { from: reached, to, after } }) });
    },
    pins: async () => accept({ trust: formatTrust(trustOf(served)) }),
  } satisfies Record<string, ControlVerb>;
}

/**
 * What a reader is to pin: the ledger's keys of the beginning, and every change of them up to now,
 * so that keys that were given up are not believed where a file leaves their end out.
 */
function trustOf({ policies, pins, trust, members }: ServedEvidence): Trust {
  const [first, ...changes] = policies();
  const { attester, bootstrap } = pins();
  const key = parseVerifierKey(attester);
  if (first === undefined || !key.ok) throw new Error('the swarm has not pinned its keys yet');
  const known = bootstrap.flatMap((text) => {
    const id = parseSpiffeId(text);
    return id.ok ? [id.value] : [];
  });
  return {
    roots: [...trust().values()].flatMap(({ trustDomain, authorities }) =>
      authorities.map(({ raw }) => ({ trustDomain, certificate: new Uint8Array(raw) })),
    ),
    log: { ...first.policy, ...(changes.length > 0 && { changes }) },
    issuance: { keys: [key.value], required: 1, bootstrap: known },
    members,
  };
}
