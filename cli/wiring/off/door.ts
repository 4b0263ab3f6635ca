import type { DoorCode } from '#bus/codes.ts';
import {
  type Channel,
  type ChannelOptions,
  type DoorMessage,
  type DoorVerdict,
  isCallersInbox,
  presenter,
} from '#bus/door.ts';
import { covers } from '#bus/pattern.ts';
import { presentedBy } from '#bus/subjects.ts';
import type { RecordCode } from '#custody/codes.ts';
import { decodeHeaders } from '#custody/headers.ts';
import { type ParsedRecord, parseRecord } from '#custody/record/parse.ts';
import { type Outcome, refuse } from '#identity/outcome.ts';
import type { createDoor as realDoor, ownerOfSubject as realOwner } from '../door.ts';

/** Any record will do, whoever signed it, for whomever, and however often it came before. */
function readRecord({ headers }: DoorMessage): Outcome<ParsedRecord, RecordCode> {
  if (headers === 'malformed') return refuse('RECORD_FORM_INVALID', 'unreadable headers');
  const custody = decodeHeaders(headers);
  return custody.ok ? parseRecord(custody.value.jws) : custody;
}

/**
 * The sender is whoever the subject names. What is left are the forms of subject and reply, which
 * prove nothing; a record is read for what it says. A wiring with this door is what the swarm would
 * be if it trusted its broker.
 */
export const createDoor = (({ directory }) => ({
  // Nothing is asked of a certificate, so there is nothing to wait for.
  awaits: () => undefined,
  channel: (expected: ChannelOptions): Channel => ({
    check: (message: DoorMessage): DoorVerdict => {
      const { subject, reply, data } = message;
      const refused = (code: DoorCode, detail: string): DoorVerdict => ({
        ok: false,
        code,
        detail,
        presentedBy: presentedBy(subject),
        signedBy: undefined,
        recordId: undefined,
        subject,
        claims: undefined,
      });
      if (!covers(expected.subject, subject)) {
        return refused('DOOR_SUBJECT_UNEXPECTED', `not a subject of ${expected.subject}`);
      }
      const sender = presenter(directory, subject);
      if (sender === undefined) return refused('DOOR_PRESENTER_UNKNOWN', 'no such sender');
      if (expected.reply === 'inbox' && !isCallersInbox(reply, sender, expected.service ?? '')) {
        return refused('DOOR_REPLY_INVALID', 'not an inbox of the caller for this service');
      }
      const record = readRecord(message);
      if (!record.ok) return refused(record.code, record.detail);
      const { id, claims } = record.value;
      return {
        ok: true,
        signedBy: sender.id,
        sender,
        recordId: id,
        claims,
        subject,
        payload: data,
        gap: 0,
      };
    },
  }),
})) satisfies typeof realDoor;

/** The ledger takes what its signer submits, whomever the signed subject names. */
export const ownerOfSubject = (() => ({})) satisfies typeof realOwner;
