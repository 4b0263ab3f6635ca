import { decodeHeaders } from '#custody/headers.ts';
import { createBatchCache } from '#custody/record/batch.ts';
import { type CheckedRecord, checkRecord } from '#custody/record/check.ts';
import { type ParsedRecord, parseRecord } from '#custody/record/parse.ts';
import { createReplayCache } from '#custody/record/replay.ts';
import { createSequenceTracker } from '#custody/record/sequence.ts';
import type { RecordClaims, RecordId, RecordKind } from '#custody/record.ts';
import { type Outcome, type Refused, refuse } from '#identity/outcome.ts';
import type { SpiffeId } from '#identity/spiffe-id.ts';
import type { VerifiedSvid } from '#identity/svid.ts';
import { createAwaited } from './awaited.ts';
import type { CertificateCache } from './certificates.ts';
import { DOOR_CODES, type DoorCode } from './codes.ts';
import type { Directory, Member } from './directory.ts';
import { covers } from './pattern.ts';
import { presentedBy } from './subjects.ts';
import type { Verified } from './verified.ts';

/** A message as the broker delivered it. Everything but `subject`'s pinned token is a claim. */
export interface DoorMessage {
  readonly subject: string;
  readonly reply: string | undefined;
  readonly headers: Iterable<readonly [string, readonly string[]]> | 'malformed' | undefined;
  readonly data: Uint8Array;
}

/** A refusal with both names: whom the broker let publish it, and whose record it is if proven. */
export interface DoorRefusal extends Refused<DoorCode> {
  readonly presentedBy: string | undefined;
  readonly signedBy: SpiffeId | undefined;
  readonly recordId: RecordId | undefined;
  readonly subject: string;
  /** Unproven claims, for what only the signer could lose by: telling it what was not accepted. */
  readonly claims: RecordClaims | undefined;
}

export type DoorVerdict = Verified<Uint8Array> | DoorRefusal;

/** What one subscription accepts. Each has its own sequence: two channels may overtake each other. */
export interface ChannelOptions {
  /** NATS pattern of subjects. */
  readonly subject: string;
  readonly kinds: readonly RecordKind[];
  /** `inbox`: a reply to the caller is required; `none`: refused; `broker`: set by JetStream. */
  readonly reply: 'inbox' | 'none' | 'broker';
  /** With `inbox`: the service's segment in `_INBOX.<caller>.<service>.<nonce>`. */
  readonly service?: string;
  /** Policy: may this sender say this here? Asked last, of verified claims only. */
  readonly permit?: (sender: Member, claims: RecordClaims) => Outcome<void>;
}

export interface DoorOptions {
  readonly self: Member;
  readonly directory: Directory;
  readonly certificates: CertificateCache;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /** When this process began to receive: what is older may be a replay from before. */
  readonly startedAt: number;
  readonly isRevoked?: (svid: VerifiedSvid) => boolean;
  /** Has a pinned attester stated that this certificate was issued to that identity? */
  readonly isLogged?: (svid: VerifiedSvid) => boolean;
  /** `root` for sources and gateways, `revoke` for pinned keys: by default neither is accepted. */
  readonly mayMake?: (sender: Member, kind: RecordKind) => boolean;
  readonly maxPayload?: number;
}

export interface Channel {
  /** Who was asked and with which record, for answers; never throws on any message. */
  check(message: DoorMessage, answer?: { signer: SpiffeId; parent: RecordId }): DoorVerdict;
}

export interface Door {
  channel(options: ChannelOptions): Channel;
  /**
   * The thumbprint of a genuine certificate that nobody has stated as issued: what this message would
   * be refused for now, and what a statement that is on its way would change.
   */
  awaits(message: DoorMessage): string | undefined;
}

const MAX_PAYLOAD = 512 * 1024;
const MAX_SUBJECT = 512;

function mayMakeByDefault(sender: Member, kind: RecordKind): boolean {
  return kind !== 'revoke' && (kind !== 'root' || sender.role === 'sensor');
}

/** The member whose token (or service name, in a reply) the broker pinned in the subject. */
export function presenter(directory: Directory, subject: string): Member | undefined {
  const segment = presentedBy(subject);
  if (segment === undefined) return undefined;
  if (!subject.startsWith('_INBOX.')) return directory.byToken(segment);
  return directory.byToken(`service-${segment}`) ?? directory.byToken(`platform-${segment}`);
}

/** `_INBOX.<caller token>.<service>.<nonce>`, and nothing else: a service must not be a reflector. */
export function isCallersInbox(
  reply: string | undefined,
  caller: Member,
  service: string,
): boolean {
  const parts = (reply ?? '').split('.');
  return (
    parts.length === 4 &&
    parts[0] === '_INBOX' &&
    parts[1] === caller.token &&
    parts[2] === service &&
    /^[A-Za-z0-9_-]{1,64}$/.test(parts[3] ?? '')
  );
}

/** The trust boundary: bytes in, a verified message or a refusal out. Nothing else makes either. */
export function createDoor(options: DoorOptions): Door {
  const { self, directory, certificates, clock, startedAt } = options;
  const mayMake = options.mayMake ?? mayMakeByDefault;
  const maxPayload = options.maxPayload ?? MAX_PAYLOAD;
  // One memory for all channels: a record is received once, wherever.
  const replays = createReplayCache({ clock });
  const batches = createBatchCache();

  function channel(expected: ChannelOptions): Channel {
    const sequences = createSequenceTracker();

    /** Checks that need no cryptography, then the record. */
    function open(
      message: DoorMessage,
      sender: Member | undefined,
      answer: { signer: SpiffeId; parent: RecordId } | undefined,
      note: (seen: { record?: ParsedRecord; svid?: VerifiedSvid }) => void,
    ): Outcome<CheckedRecord, DoorCode> {
      const { subject, reply, headers, data } = message;
      if (data.length > maxPayload || subject.length > MAX_SUBJECT) {
        return refuse('RECORD_TOO_LARGE', `a payload has at most ${maxPayload} bytes`);
      }
      if (!covers(expected.subject, subject)) {
        return refuse('DOOR_SUBJECT_UNEXPECTED', `not a subject of ${expected.subject}`);
      }
      if (sender === undefined) return refuse('DOOR_PRESENTER_UNKNOWN', 'no such sender');
      const { service = '' } = expected;
      if (expected.reply === 'inbox' && !isCallersInbox(reply, sender, service)) {
        return refuse('DOOR_REPLY_INVALID', 'not an inbox of the caller for this service');
      }
      if (expected.reply === 'none' && reply !== undefined) {
        return refuse('DOOR_REPLY_INVALID', 'no reply is given on this subject');
      }
      if (headers === 'malformed') return refuse('DOOR_HEADERS_MALFORMED', 'unreadable headers');
      const custody = decodeHeaders(headers);
      if (!custody.ok) return custody;
      const parsed = parseRecord(custody.value.jws, batches);
      if (!parsed.ok) return parsed;
      const record = parsed.value;
      note({ record });
      const now = clock();
      const svid = certificates.resolve(record.thumbprint, custody.value.chain, new Date(now));
      if (!svid.ok) return svid;
      note({ svid: svid.value });
      // Asked by `checkRecord` once the signer is proven and before anything is remembered of it.
      let own: Refused<DoorCode> | undefined;
      const kindAllowed = (): boolean => {
        own = expectations(record.claims, sender, answer);
        return own === undefined && mayMake(sender, record.claims.knd);
      };
      const checked = checkRecord(record, {
        svid: svid.value,
        now,
        ...(options.isRevoked === undefined ? {} : { isRevoked: options.isRevoked }),
        ...(options.isLogged === undefined ? {} : { isLogged: options.isLogged }),
        receiverStart: startedAt,
        self: self.id,
        subject,
        // JetStream replaces the reply by its own; such a record must have signed none.
        reply: expected.reply === 'broker' ? null : (reply ?? null),
        payload: data,
        salt: custody.value.salt,
        mayMake: kindAllowed,
        replays,
        sequences,
        batches,
      });
      return own ?? checked;
    }

    function expectations(
      claims: RecordClaims,
      sender: Member,
      answer: { signer: SpiffeId; parent: RecordId } | undefined,
    ): Refused<DoorCode> | undefined {
      if (claims.iss !== sender.id) {
        return refuse('DOOR_SIGNER_NOT_PRESENTER', `${sender.token} published another's record`);
      }
      if (answer !== undefined && claims.iss !== answer.signer) {
        return refuse('DOOR_SIGNER_UNEXPECTED', `the answer is by ${claims.iss}`);
      }
      if (answer !== undefined && !claims.par.includes(answer.parent)) {
        return refuse('DOOR_PARENT_MISSING', 'the request is not among the causes');
      }
      if (!expected.kinds.includes(claims.knd)) {
        return refuse('RECORD_KIND_NOT_ALLOWED', `${claims.knd} is not taken on this subject`);
      }
      return undefined;
    }

    function check(
      message: DoorMessage,
      answer?: { signer: SpiffeId; parent: RecordId },
    ): DoorVerdict {
      const sender = presenter(directory, message.subject);
      let seen: { record?: ParsedRecord; svid?: VerifiedSvid } = {};
      const opened = open(message, sender, answer, (more) => {
        seen = { ...seen, ...more };
      });
      const refused = (by: Refused<DoorCode>): DoorRefusal => ({
        ok: false,
        code: by.code,
        detail: by.detail,
        presentedBy: sender?.token ?? presentedBy(message.subject),
        signedBy: DOOR_CODES[by.code].signerKnown ? seen.svid?.id : undefined,
        recordId: seen.record?.id,
        subject: message.subject,
        claims: seen.record?.claims,
      });
      if (!opened.ok) return refused(opened);
      // `open` refuses an unknown presenter; said again here for the type alone.
      if (sender === undefined) return refused(refuse('DOOR_PRESENTER_UNKNOWN', 'no such sender'));
      const { id, claims, gap } = opened.value;
      const permitted = expected.permit?.(sender, claims);
      if (permitted !== undefined && !permitted.ok) {
        return refused(refuse('DOOR_NOT_PERMITTED', `${permitted.code}: ${permitted.detail}`));
      }
      return {
        ok: true,
        signedBy: claims.iss,
        sender,
        recordId: id,
        claims,
        subject: message.subject,
        payload: message.data,
        gap,
      };
    }

    return { check };
  }

  return { channel, awaits: createAwaited({ certificates, clock, isLogged: options.isLogged }) };
}

/** The same verified message with its payload parsed; a payload that does not parse is refused. */
export function withPayload<T>(
  verified: Verified<Uint8Array>,
  parse: (bytes: Uint8Array) => Outcome<T>,
): Verified<T> | DoorRefusal {
  const parsed = parse(verified.payload);
  if (parsed.ok) return { ...verified, payload: parsed.value };
  return {
    ok: false,
    code: 'DOOR_PAYLOAD_INVALID',
    detail: parsed.detail,
    presentedBy: verified.sender.token,
    signedBy: verified.signedBy,
    recordId: verified.recordId,
    subject: verified.subject,
    claims: verified.claims,
  };
}
