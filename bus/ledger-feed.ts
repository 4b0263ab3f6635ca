import { CUSTODY_CODES, type LedgerCode } from '#custody/codes.ts';
import { decodeHeaders } from '#custody/headers.ts';
import type { Ledger, Receipt } from '#custody/ledger/ledger.ts';
import { parseRecord } from '#custody/record/parse.ts';
import type { RecordDraft } from '#custody/record/sign.ts';
import type { RecordId, SignedRecord } from '#custody/record.ts';
import type { Outcome } from '#identity/outcome.ts';
import { recordHeaders } from './client/envelope.ts';
import type { BusLink } from './client/link.ts';
import type { Incoming } from './client/nats.ts';
import { encodeReceipt, MAX_RECEIPT_IDS } from './client/receipt.ts';
import type { Directory, Member } from './directory.ts';
import { APPEND_STREAM, durableName, presentedBy, receiptSubject } from './subjects.ts';

export interface LedgerFeed {
  status(): { readonly taken: number; readonly waiting: number };
  /** Takes no more, and sends the receipts that are due. */
  close(): Promise<void>;
}

const BATCH = 256;
const EXPIRES_MS = 5000;
const RECEIPT_EVERY_MS = 250;
/** A cause that is not there yet is waited for: its sender's record may be on its way. */
const RETRY_MS = 250;
const MAX_DELIVERIES = 40;
/**
 * Records of one member that are waited for. Each comes some forty times until it is given up: with
 * no bound of its own, a few hundred acts a second that name causes nobody made stop the ledger for all.
 */
const MAX_WAITED_FOR = 64;

interface Due {
  readonly appended: Set<RecordId>;
  readonly refused: Map<RecordId, string>;
}

/**
 * How often the server delivered it, and its number in the stream:
 * `$JS.ACK.<stream>.<consumer>.<deliveries>.<number>…`, or with two tokens before the stream.
 */
function delivery(ack: string): { readonly times: number; readonly number: string } {
  const parts = ack.split('.');
  const at = parts.length >= 11 ? 6 : 4;
  return { times: Number(parts[at] ?? '1'), number: parts[at + 1] ?? '' };
}

/**
 * Brings what members submit from APPEND to the ledger, and a signed receipt back. A record leaves
 * APPEND when the ledger has appended or refused it for good.
 */
export function startLedgerFeed(options: {
  readonly link: BusLink;
  readonly self: Member;
  readonly directory: Directory;
  readonly ledger: Pick<Ledger, 'submit'>;
  readonly sign: (draft: RecordDraft) => SignedRecord;
  readonly onOutcome?: (submitter: Member, outcome: Outcome<Receipt, LedgerCode>) => void;
}): LedgerFeed {
  const { link, self, directory, ledger } = options;
  const durable = durableName(self);
  const inbox = `_INBOX.${self.token}._js.${APPEND_STREAM}.pull`;
  const ackPrefix = `$JS.ACK.${APPEND_STREAM}.${durable}.`;
  const queue: Incoming[] = [];
  const due = new Map<string, Due>();
  /** Token → numbers in the stream of what is waited for. */
  const waitedFor = new Map<string, Set<string>>();
  let taken = 0;
  let left = 0;
  let closed = false;
  let running: Promise<void> | undefined;
  let renewal: NodeJS.Timeout | undefined;

  function pull(): void {
    if (closed) return;
    left = BATCH;
    link.publish({
      subject: `$JS.API.CONSUMER.MSG.NEXT.${APPEND_STREAM}.${durable}`,
      reply: inbox,
      payload: Buffer.from(JSON.stringify({ batch: BATCH, expires: EXPIRES_MS * 1_000_000 })),
    });
    clearTimeout(renewal);
    // The server says when a pull has ended; a lost connection says nothing.
    renewal = setTimeout(pull, EXPIRES_MS + 1000);
  }

  function receipt(member: Member, id: RecordId, code?: LedgerCode): void {
    const owed = due.get(member.token) ?? { appended: new Set(), refused: new Map() };
    if (code === undefined) owed.appended.add(id);
    else owed.refused.set(id, code);
    due.set(member.token, owed);
  }

  function answer(message: Incoming, text: string): void {
    if (message.reply === undefined) return;
    link.publish({ subject: message.reply, payload: Buffer.from(text) });
  }

  async function take(message: Incoming): Promise<void> {
    const { subject, reply } = message;
    if (reply === undefined || !reply.startsWith(ackPrefix)) return;
    const member = directory.byToken(presentedBy(subject) ?? '');
    const headers = message.headers === 'malformed' ? undefined : message.headers;
    const custody = decodeHeaders(headers);
    if (member === undefined || !custody.ok) {
      answer(message, '+TERM');
      return;
    }
    const { jws, salt, chain } = custody.value;
    const { times, number } = delivery(reply);
    const waits = waitedFor.get(member.token) ?? new Set<string>();
    waitedFor.set(member.token, waits);
    const last = times >= MAX_DELIVERIES || (waits.size >= MAX_WAITED_FOR && !waits.has(number));
    const outcome = await ledger.submit({
      submittedBy: member.id,
      jws,
      salt,
      payload: message.data,
      subject,
      last,
      ...(chain === undefined ? {} : { chain }),
    });
    const later = !outcome.ok && CUSTODY_CODES[outcome.code].kind === 'unavailable';
    const storage = !outcome.ok && outcome.code === 'LEDGER_STORAGE_FAILED';
    if (later && (storage || !last)) {
      // For storage nobody is given up, so it takes no place of the sender's.
      if (!storage) waits.add(number);
      answer(message, `-NAK ${JSON.stringify({ delay: RETRY_MS * 1_000_000 })}`);
      return;
    }
    waits.delete(number);
    taken += 1;
    answer(message, '+ACK');
    options.onOutcome?.(member, outcome);
    if (outcome.ok) receipt(member, outcome.value.id);
    else {
      // Told under the id of what it sent; who cannot parse its own record needs no receipt.
      const parsed = parseRecord(jws);
      if (parsed.ok) receipt(member, parsed.value.id, outcome.code);
    }
  }

  /** In order: the ledger decides about each in its call, and what is durable is awaited together. */
  async function run(): Promise<void> {
    while (queue.length > 0) await Promise.all(queue.splice(0).map(take));
  }

  function publishReceipts(): void {
    for (const [token, { appended, refused }] of due) {
      const member = directory.byToken(token);
      if (member === undefined || !link.connected()) continue;
      const ids = [...appended].slice(0, MAX_RECEIPT_IDS);
      const room = MAX_RECEIPT_IDS - ids.length;
      const bad = [...refused].slice(0, room).map(([id, code]) => ({ id, code }));
      const payload = encodeReceipt({ type: 'receipt', appended: ids, refused: bad });
      const subject = receiptSubject(member);
      try {
        const record = options.sign({ aud: [member.id], sbj: subject, knd: 'ack', payload });
        link.publish({ subject, payload, headers: recordHeaders(record, { chain: true }) });
      } catch {
        // No SVID now: the receipts stay due.
        return;
      }
      for (const id of ids) appended.delete(id);
      for (const { id } of bad) refused.delete(id);
      if (appended.size + refused.size === 0) due.delete(token);
    }
  }

  const stop = link.subscribe(inbox, undefined, (message) => {
    if (message.status !== 0) {
      pull();
      return;
    }
    queue.push(message);
    left -= 1;
    running ??= run().finally(() => {
      running = undefined;
      // Asked for again only when all is done: what the ledger has not taken stays in the stream.
      if (left <= 0) pull();
    });
  });
  link.onRenewed(pull);
  pull();
  const timer = setInterval(publishReceipts, RECEIPT_EVERY_MS);

  return {
    status: () => ({ taken, waiting: queue.length }),
    async close() {
      closed = true;
      clearTimeout(renewal);
      stop();
      await running;
      clearInterval(timer);
      publishReceipts();
      await link.flush();
    },
  };
}
