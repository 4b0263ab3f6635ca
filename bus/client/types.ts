import type { StandingBook } from '#custody/log/standing.ts';
import type { RecordDraft } from '#custody/record/sign.ts';
import type { RecordId, RecordKind, SignedRecord } from '#custody/record.ts';
import type { SpiffeId } from '#identity/spiffe-id.ts';
import type { X509Source } from '#identity/svid.ts';
import type { Directory, Member } from '../directory.ts';
import type { createDoor, DoorRefusal } from '../door.ts';
import type { BusAlarm } from './alarms.ts';
import type { AnteroomOptions } from './anteroom.ts';
import type { ConsumeOptions, Consumer } from './consumer.ts';
import type { Propagate } from './envelope.ts';
import type { ProveInclusion } from './inclusion.ts';
import type { BusLink, LinkStatus } from './link.ts';
import type { RequestDraft, Requester, RequestResult } from './requester.ts';
import type { Responder, ServeOptions } from './responder.ts';
import type { SendDraft, Sender } from './sender.ts';
import type { SubmitterStatus } from './submitter.ts';

export interface BusClientOptions {
  readonly self: Member;
  readonly directory: Directory;
  readonly source: X509Source;
  /** `tls://127.0.0.1:PORT` */
  readonly url: string;
  readonly brokerId: SpiffeId;
  /** Milliseconds since the epoch. */
  readonly clock: () => number;
  /**
   * When the memory of this process began, milliseconds; default now. What was signed before may be
   * a replay of what the former process accepted, and is refused.
   */
  readonly startedAt?: number;
  /** That many random bytes. */
  readonly random: (size: number) => Uint8Array;
  /** Each refusal at this door; they also go to the ledger, aggregated. */
  readonly onRefusal: (refusal: DoorRefusal) => void;
  /** What did not come that should have, and when it has: to be told past the broker. */
  readonly onAlarm?: (alarm: BusAlarm) => void;
  readonly propagate?: Propagate;
  /**
   * Which certificates are stated as issued, and which as revoked. With it a message under one that
   * is not stated waits a while for the statement; without, neither is asked.
   */
  readonly standing?: Pick<StandingBook, 'judge' | 'watch'> & Pick<AnteroomOptions, 'patienceMs'>;
  /** Who may open a chain (`root`) or revoke; default: sensors open chains, nobody revokes. */
  readonly mayMake?: (sender: Member, kind: RecordKind) => boolean;
  /** The door that every message comes through; default: that of `bus/door.ts`. */
  readonly createDoor?: typeof createDoor;
  /** Messages of ours without all acknowledgements; default 256. */
  readonly maxOutstanding?: number;
  /** Records of ours without a receipt of the ledger; default 2048. */
  readonly maxUnconfirmed?: number;
  readonly firstConnectMs?: number;
}

export interface BusStatus {
  readonly session: string;
  readonly link: LinkStatus;
  readonly sent: ReturnType<Sender['status']>;
  readonly ledger: SubmitterStatus;
  readonly requests: ReturnType<Requester['status']>;
  readonly consumed: readonly (ReturnType<Consumer['status']> & { readonly kind: string })[];
  readonly served: readonly (ReturnType<Responder['status']> & { readonly service: string })[];
  readonly refusals: Readonly<Record<string, number>>;
}

/** One process's whole business with the bus; see each part's own interface. */
export interface BusClient {
  readonly self: Member;
  readonly session: string;
  /** For the ledger's feed, which shares connection and session with the rest of its process. */
  readonly link: BusLink;
  sign(draft: RecordDraft): SignedRecord;
  send(draft: SendDraft): Promise<RecordId>;
  /** Every message acknowledged and every record confirmed by the ledger. */
  flush(): Promise<void>;
  consume(options: ConsumeOptions): Consumer;
  request(draft: RequestDraft): Promise<RequestResult>;
  serve(options: ServeOptions): Promise<Responder>;
  /** A record for the ledger alone: `root` or `join`, or a statement of one's own. */
  record(draft: {
    readonly kind: RecordKind;
    readonly payload: Uint8Array;
    readonly causes?: readonly RecordId[];
  }): Promise<RecordId>;
  /**
   * From now on the ledger is asked now and then to prove what it gave receipts for. Call it once.
   * `prove` resolves when it has proven, by a witnessed tree head, that it holds the record.
   */
  watchInclusion(prove: ProveInclusion): void;
  /** Gathers causes by `join` records until at most `most` (default 16) are left. */
  joinCauses(causes: readonly RecordId[], most?: number): readonly RecordId[];
  status(): BusStatus;
  /** Handles what arrived, answers what was asked, tells senders and ledger, and leaves. */
  close(): Promise<void>;
}
