import type { KeyObject } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { accept, type Outcome, refuse } from '../outcome.ts';
import { type Attestation, type AttestationClaims, signAttestation } from './attestation.ts';
import type { IssuerCode } from './codes.ts';
import type { EntryInput } from './entry.ts';
import { MAX_LINE_BYTES, openLines } from './lines.ts';
import {
  AuthoritiesReply,
  BundleReply,
  DocumentReply,
  EntriesReply,
  IssuedReply,
  JoinTokenReply,
  type JoinTokenRequest,
  LinkAnswer,
  LinkEvent,
  LinkRequest,
  MintReply,
  type MintRequest,
  NodesReply,
  NoReply,
  PendingReply,
  type ReplyParser,
} from './link-messages.ts';
import { storeRefusal } from './store-error.ts';

export {
  type Attestation,
  type AttestationClaims,
  attestationSigningInput,
  imageSigningInput,
  signImage,
  verifyImageSignature,
} from './attestation.ts';
export type {
  AuthoritiesReply,
  DocumentReply,
  EntriesReply,
  IssuedReply,
  JoinTokenReply,
  JoinTokenRequest,
  LinkEvent,
  MintRequest,
  NodesReply,
  PendingReply,
} from './link-messages.ts';

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
  pending(after: number): PendingReply;
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

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
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
  const lines = openLines(duplex, {
    line: (text) => {
      const request = LinkRequest.safeParse(parseJson(text));
      if (!request.success) {
        lines.close();
        return;
      }
      const { ref } = request.data;
      const reply = (outcome: Outcome<unknown>): void =>
        lines.send(
          outcome.ok
            ? { ref, ok: true, value: outcome.value }
            : { ref, ok: false, code: outcome.code, detail: outcome.detail },
        );
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
  return { emit: (event) => lines.send(event), close: () => lines.close() };
}

type EventOf<Name extends LinkEvent['event']> = Extract<LinkEvent, { event: Name }>;
type LinkOutcome<T> = Promise<Outcome<T, IssuerCode | (string & {})>>;

/** The launcher's end. Every call resolves; after the end of the link with `LINK_CLOSED`. */
export interface LauncherLink {
  /** Signs and sends; resolves when the issuer has accepted, so the child may be told to start. */
  attest(claims: AttestationClaims): LinkOutcome<unknown>;
  exited(pid: number, startTime: number): LinkOutcome<unknown>;
  /** Replaces the whole set of registration entries. */
  setEntries(entries: readonly EntryInput[]): LinkOutcome<unknown>;
  /** `chain`: DER, leaf first. */
  mint(request: MintRequest): LinkOutcome<{ chain: Uint8Array[]; notAfter: Date }>;
  /** DER of the trust domain's authorities. */
  bundle(): LinkOutcome<{ trustDomain: string; authorities: Uint8Array[] }>;
  listEntries(offset: number): LinkOutcome<EntriesReply>;
  addEntries(entries: readonly EntryInput[]): LinkOutcome<EntriesReply>;
  removeEntry(id: string): LinkOutcome<EntriesReply>;
  issued(from: number): LinkOutcome<IssuedReply>;
  bundleDocument(): LinkOutcome<DocumentReply>;
  joinToken(request: JoinTokenRequest): LinkOutcome<JoinTokenReply>;
  listNodes(): LinkOutcome<NodesReply>;
  evictNode(id: string): LinkOutcome<NodesReply>;
  /** See `Outbox`. */
  pending(after: number): LinkOutcome<PendingReply>;
  acknowledge(upTo: number): LinkOutcome<unknown>;
  authorities(): LinkOutcome<AuthoritiesReply>;
  /** Returns the function that stops it. */
  on<Name extends LinkEvent['event']>(
    name: Name,
    listener: (event: EventOf<Name>) => void,
  ): () => void;
  /** Resolves when the link is closed, by either side. */
  readonly closed: Promise<void>;
  close(): void;
}

const fromBase64 = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'));

/** @param key the launcher's P-256 private key; its public half is in the issuer's start config. */
export function connectLauncherLink(duplex: Duplex, key: KeyObject): LauncherLink {
  const waiting = new Map<number, (answer: Outcome<unknown>) => void>();
  const listeners = new Set<(event: LinkEvent) => void>();
  const ended = Promise.withResolvers<void>();
  let nextRef = 1;
  let open = true;

  const lines = openLines(duplex, {
    line: (text) => {
      const message = parseJson(text);
      const event = LinkEvent.safeParse(message);
      if (event.success) {
        for (const listener of listeners) listener(event.data);
        return;
      }
      const answer = LinkAnswer.safeParse(message);
      const settle = answer.success ? waiting.get(answer.data.ref) : undefined;
      if (!answer.success || settle === undefined) return lines.close();
      waiting.delete(answer.data.ref);
      settle(
        answer.data.ok ? accept(answer.data.value) : refuse(answer.data.code, answer.data.detail),
      );
    },
    closed: () => {
      open = false;
      for (const settle of waiting.values()) settle(refuse('LINK_CLOSED', 'the issuer is gone'));
      waiting.clear();
      ended.resolve();
    },
  });

  async function ask<T>(body: object, reply: ReplyParser<T>): Promise<Outcome<T>> {
    if (!open) return refuse('LINK_CLOSED', 'the issuer is gone');
    const ref = nextRef++;
    // What the issuer would not read ends the link, and with it everybody's attestation: an
    // operator's odd request is refused here.
    const request = LinkRequest.safeParse({ ref, ...body });
    if (!request.success) {
      const [issue] = request.error.issues;
      return refuse('LINK_MALFORMED', `${issue?.path.join('.')}: ${issue?.message}`);
    }
    if (Buffer.byteLength(JSON.stringify(request.data)) > MAX_LINE_BYTES) {
      return refuse('LINK_MALFORMED', 'too much for one request');
    }
    const { promise, resolve } = Promise.withResolvers<Outcome<unknown>>();
    waiting.set(ref, resolve);
    lines.send(request.data);
    const answer = await promise;
    if (!answer.ok) return answer;
    const parsed = reply.safeParse(answer.value);
    return parsed.success
      ? accept(parsed.data)
      : refuse('LINK_MALFORMED', 'the issuer answered what was not asked');
  }

  return {
    attest: (claims) => ask({ op: 'attest', ...signAttestation(claims, key) }, NoReply),
    exited: (pid, startTime) => ask({ op: 'exited', pid, startTime }, NoReply),
    setEntries: (entries) => ask({ op: 'entries', entries }, NoReply),
    mint: async (request) => {
      const minted = await ask({ op: 'mint', ...request }, MintReply);
      if (!minted.ok) return minted;
      const { chain, notAfter } = minted.value;
      return accept({ chain: chain.map(fromBase64), notAfter: new Date(notAfter) });
    },
    bundle: async () => {
      const bundle = await ask({ op: 'bundle' }, BundleReply);
      if (!bundle.ok) return bundle;
      const { trustDomain, authorities } = bundle.value;
      return accept({ trustDomain, authorities: authorities.map(fromBase64) });
    },
    listEntries: (offset) => ask({ op: 'list-entries', offset }, EntriesReply),
    addEntries: (entries) => ask({ op: 'add-entries', entries }, EntriesReply),
    removeEntry: (id) => ask({ op: 'remove-entry', id }, EntriesReply),
    issued: (from) => ask({ op: 'issued', from }, IssuedReply),
    bundleDocument: () => ask({ op: 'bundle-document' }, DocumentReply),
    joinToken: (request) => ask({ op: 'join-token', ...request }, JoinTokenReply),
    listNodes: () => ask({ op: 'list-nodes' }, NodesReply),
    evictNode: (id) => ask({ op: 'evict-node', id }, NodesReply),
    pending: (after) => ask({ op: 'pending', after }, PendingReply),
    acknowledge: (upTo) => ask({ op: 'acknowledge', upTo }, NoReply),
    authorities: () => ask({ op: 'authorities' }, AuthoritiesReply),
    on: (name, listener) => {
      const filtered = (event: LinkEvent): void => {
        if (event.event === name) listener(event as EventOf<typeof name>);
      };
      listeners.add(filtered);
      return () => listeners.delete(filtered);
    },
    closed: ended.promise,
    close: () => lines.close(),
  };
}
