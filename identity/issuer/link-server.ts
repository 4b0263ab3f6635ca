import type { Duplex } from 'node:stream';
import { accept, type Outcome, type Refused, refuse } from '../outcome.ts';
import type { Attestation } from './attestation.ts';
import type { EntryInput } from './entry.ts';
import { MAX_LINE_BYTES, openLines } from './lines.ts';
import {
  type AuthoritiesReply,
  type BundleReply,
  type DocumentReply,
  type EntriesReply,
  type IssuedReply,
  type JoinTokenReply,
  type JoinTokenRequest,
  type LinkEvent,
  LinkRequest,
  type MintReply,
  type MintRequest,
  type NodesReply,
  type OutboxPage,
  parseLine,
} from './link-messages.ts';
import { shownDetail } from './shown.ts';
import { storeRefusal } from './store-error.ts';

/** What an operator may ask of the issuer, through the launcher. */
export interface Administration {
  /** One page from `offset`, oldest first. */
  listEntries(offset: number): EntriesReply;
  /** All or none; with their ids. */
  addEntries(entries: readonly EntryInput[]): Outcome<EntriesReply>;
  removeEntry(id: string): Outcome<EntriesReply>;
  /** One page of the issuance log, from row `from`. */
  issued(from: number): IssuedReply;
  bundleDocument(): Outcome<DocumentReply>;
  joinToken(request: JoinTokenRequest): Promise<Outcome<JoinTokenReply>>;
  listNodes(): NodesReply;
  evictNode(id: string): Outcome<NodesReply>;
}

/** What the launcher reads to have it entered in the ledger. */
export interface Outbox {
  /** Issuances that are not acknowledged, after that row. */
  pending(after: number): OutboxPage;
  /** The ledger holds all that is to be held of the rows up to this one. */
  acknowledge(upTo: number): void;
  authorities(): AuthoritiesReply;
}

/** What the issuer does with each request; a refusal goes back to the launcher as it is. */
export interface LinkHandlers extends Administration, Outbox {
  attest(attestation: Attestation): Outcome<unknown>;
  exited(pid: number, startTime: number): void;
  entries(entries: readonly EntryInput[]): Outcome<unknown>;
  mint(request: MintRequest): Outcome<MintReply>;
  bundle(): BundleReply;
  /** The launcher is gone, or spoke what is not the protocol: nothing it said counts any more. */
  closed(): void;
}

export interface LinkServer {
  emit(event: LinkEvent): void;
  close(): void;
}

/** The issuer's end. A line that is not the protocol ends the link: its peer is not a launcher. */
export function serveLauncherLink(duplex: Duplex, handlers: LinkHandlers): LinkServer {
  const perform = (request: LinkRequest): Outcome<unknown> | Promise<Outcome<unknown>> => {
    switch (request.op) {
      case 'attest': {
        const { op: _op, ref: _ref, ...attestation } = request;
        return handlers.attest(attestation);
      }
      case 'exited':
        handlers.exited(request.pid, request.startTime);
        return accept({});
      case 'entries':
        return handlers.entries(request.entries);
      case 'mint':
        return handlers.mint(request);
      case 'bundle':
        return accept(handlers.bundle());
      case 'list-entries':
        return accept(handlers.listEntries(request.offset));
      case 'add-entries':
        return handlers.addEntries(request.entries);
      case 'remove-entry':
        return handlers.removeEntry(request.id);
      case 'issued':
        return accept(handlers.issued(request.from));
      case 'bundle-document':
        return handlers.bundleDocument();
      case 'join-token':
        return handlers.joinToken(request);
      case 'list-nodes':
        return accept(handlers.listNodes());
      case 'evict-node':
        return handlers.evictNode(request.id);
      case 'pending':
        return accept(handlers.pending(request.after));
      case 'acknowledge':
        handlers.acknowledge(request.upTo);
        return accept({});
      case 'authorities':
        return accept(handlers.authorities());
      default:
        return request satisfies never;
    }
  };
  const sendRefusal = (ref: number, { code, detail }: Refused): void =>
    lines.send({ ref, ok: false, code, detail: shownDetail(detail) });
  const sendValue = (ref: number, value: unknown): void => {
    const answer = { ref, ok: true, value };
    // A longer line would end the link, for the sake of one answer.
    if (Buffer.byteLength(JSON.stringify(answer)) <= MAX_LINE_BYTES) lines.send(answer);
    else sendRefusal(ref, refuse('LINK_MALFORMED', 'the answer is too long for the link'));
  };
  const lines = openLines(duplex, {
    line: (text) => {
      const request = LinkRequest.safeParse(parseLine(text));
      if (!request.success) {
        lines.close();
        return;
      }
      const { ref } = request.data;
      const reply = (outcome: Outcome<unknown>): void => {
        if (outcome.ok) sendValue(ref, outcome.value);
        else sendRefusal(ref, outcome);
      };
      // What can be answered at once is, so that answers keep the order of the questions.
      try {
        const outcome = perform(request.data);
        if (outcome instanceof Promise) void outcome.catch(storeRefusal).then(reply);
        else reply(outcome);
      } catch (error) {
        reply(storeRefusal(error));
      }
    },
    closed: () => handlers.closed(),
  });
  return {
    emit: (event) =>
      lines.send(
        event.event === 'denied' ? { ...event, detail: shownDetail(event.detail) } : event,
      ),
    close: () => lines.close(),
  };
}
