import type { KeyObject } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { accept, type Outcome, refuse } from '../outcome.ts';
import { type AttestationClaims, signAttestation } from './attestation.ts';
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
  OutboxPage,
  type PendingReply,
  parseLine,
  type ReplyParser,
  readPending,
  Unreadable,
} from './link-messages.ts';
import { shownDetail } from './shown.ts';

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

const UNREADABLE = 'the issuer answered what was not asked';

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
      const message = parseLine(text);
      const event = LinkEvent.safeParse(message);
      if (event.success) {
        for (const listener of listeners) listener(event.data);
        return;
      }
      // Passed over: everybody's attestation hangs on this link, and on no single event.
      if (Unreadable.event(message)) return;
      const answer = LinkAnswer.safeParse(message);
      const ref = answer.success ? answer.data.ref : Unreadable.ref(message);
      const settle = ref === undefined ? undefined : waiting.get(ref);
      if (ref === undefined || settle === undefined) return lines.close();
      waiting.delete(ref);
      if (!answer.success) return settle(refuse('LINK_MALFORMED', UNREADABLE));
      const { data } = answer;
      settle(data.ok ? accept(data.value) : refuse(data.code, shownDetail(data.detail)));
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
    return parsed.success ? accept(parsed.data) : refuse('LINK_MALFORMED', UNREADABLE);
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
    pending: async (after) => {
      const page = await ask({ op: 'pending', after }, OutboxPage);
      return page.ok ? accept(readPending(page.value)) : page;
    },
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
