import { encodeAck } from '#custody/ack.ts';
import type { RecordDraft } from '#custody/record/sign.ts';
import type { RecordId, RecordKind, SignedRecord } from '#custody/record.ts';
import { createRefusalTally } from '#custody/refusals.ts';
import { trustDomainOf } from '#identity/spiffe-id.ts';
import type { Member } from '../directory.ts';
import type { DoorRefusal } from '../door.ts';
import { appendSubject } from '../subjects.ts';
import { joinCauses, MAX_CAUSES } from './join.ts';
import type { Signing } from './signing.ts';

export interface OwnRecordDraft {
  readonly kind: RecordKind;
  readonly payload: Uint8Array;
  readonly causes?: readonly RecordId[];
}

/** What this process says to the ledger alone. */
export interface OwnRecords {
  /** Resolves with its id when there was room for it. */
  record(draft: OwnRecordDraft): Promise<RecordId>;
  /** Gathers causes by `join` records until at most `most` (default 16) are left. */
  join(causes: readonly RecordId[], most?: number): readonly RecordId[];
  /** A refusal at the own door: counted at once, recorded aggregated. */
  refused(refusal: DoorRefusal): void;
  /** Records the refusals of past seconds, or `all`. */
  tell(all: boolean): void;
  /** Refusals so far, by code. */
  refusals(): Readonly<Record<string, number>>;
}

const JOIN = Buffer.from('{"type":"join"}');

export function createOwnRecords(options: {
  readonly self: Member;
  readonly signing: Signing;
  readonly submit: (record: SignedRecord, payload: Uint8Array) => Promise<void>;
  readonly clock: () => number;
}): OwnRecords {
  const { self, signing, submit } = options;
  const tally = createRefusalTally({ clock: options.clock });
  const counts: Record<string, number> = {};
  const ledger = `spiffe://${trustDomainOf(self.id)}/platform/ledger`;

  const recordDraft = ({ kind, payload, causes = [] }: OwnRecordDraft): RecordDraft => ({
    aud: [ledger],
    sbj: appendSubject(self),
    knd: kind,
    par: causes,
    payload,
  });

  /** Signed at once: what it joins is named by its id. */
  function join(causes: readonly RecordId[], most = MAX_CAUSES): readonly RecordId[] {
    return joinCauses(causes, most, (some) => {
      const record = signing.now(recordDraft({ kind: 'join', payload: JOIN, causes: some }));
      void submit(record, JOIN).catch(() => undefined);
      return record.id;
    });
  }

  async function record(draft: OwnRecordDraft): Promise<RecordId> {
    const causes = join(draft.causes ?? []);
    const sent = await signing.soon(recordDraft({ ...draft, causes }), (signed) => ({
      id: signed.id,
      submitted: submit(signed, draft.payload),
    }));
    await sent.submitted;
    return sent.id;
  }

  return {
    record,
    join,
    refused({ code, presentedBy, signedBy, recordId, subject }) {
      counts[code] = (counts[code] ?? 0) + 1;
      tally.add({
        code,
        presented_by: presentedBy ?? 'unknown',
        subject,
        ...(signedBy === undefined ? {} : { signed_by: signedBy }),
        ...(recordId === undefined ? {} : { record: recordId }),
      });
    },
    tell(all) {
      for (const refusal of tally.take({ all })) {
        const telling = async () => record({ kind: 'ack', payload: encodeAck(refusal) });
        // No SVID now, or a subject too odd to be recorded: counted all the same.
        void telling().catch(() => undefined);
      }
    },
    refusals: () => ({ ...counts }),
  };
}
