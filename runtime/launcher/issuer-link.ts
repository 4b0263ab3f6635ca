import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import type { Duplex } from 'node:stream';
import {
  type AttestationClaims,
  connectLauncherLink,
  type LauncherLink,
  type LinkEvent,
  type MintRequest,
} from '#identity/issuer/launcher-link.ts';
import { type Outcome, refuse } from '#identity/outcome.ts';
import type { Registration } from '../swarm-file/entries.ts';

type Minted = Awaited<ReturnType<LauncherLink['mint']>>;
type Pending = Awaited<ReturnType<LauncherLink['pending']>>;
type Bundle = Awaited<ReturnType<LauncherLink['bundle']>>;

/**
 * The launcher's memory of what it told the issuer. The issuer forgets attestations when it dies;
 * a new one is told the entries and every living process again, so its death costs nobody their
 * identity for longer than its restart.
 */
export interface IssuerLink {
  /** Public half of the launcher's key, DER (SPKI) in base64: for the issuer's start message. */
  readonly publicKey: string;
  /** Takes the descriptor of a fresh issuer; resolves when it knows entries and living processes. */
  attach(duplex: Duplex): Promise<Outcome<unknown>>;
  /** Replaces the set of entries, now and after every attach. */
  setEntries(entries: readonly Registration[]): Promise<Outcome<unknown>>;
  entries(): readonly Registration[];
  /** Waits for an issuer when there is none at this moment. */
  attest(claims: AttestationClaims): Promise<Outcome<unknown>>;
  exited(pid: number, startTime: number): void;
  mint(request: MintRequest): Promise<Minted>;
  bundle(): Promise<Bundle>;
  /** See `Outbox`. Resolves when `onMinted` has been called for every row of the page that was minted. */
  pending(after: number): Promise<Pending>;
  /** Puts an operator's question to the issuer, or to the next when this one ends meanwhile; to so many. */
  administer<T>(question: (issuer: Administered) => Promise<Outcome<T>>): Promise<Outcome<T>>;
  onEvent(listener: (event: LinkEvent) => void): () => void;
  /** Calls back when a fresh issuer knows entries and living processes. Returns what stops it. */
  onAttached(listener: () => void): () => void;
  /** Calls back with the DER of each leaf that was minted for a key of the launcher's own. */
  onMinted(listener: (leaf: Uint8Array, spiffeId: string) => void): () => void;
  /** What the issuer said when it last refused a process an identity: `CODE: detail`. */
  denialOf(pid: number): string | undefined;
  /** From now on nothing waits for an issuer that is not there; a living one keeps its link. */
  release(): void;
  close(): void;
}

/** What of the link is for operators, and for the log of issuances. */
export type Administered = Pick<
  LauncherLink,
  | 'listEntries'
  | 'addEntries'
  | 'removeEntry'
  | 'issued'
  | 'bundleDocument'
  | 'joinToken'
  | 'listNodes'
  | 'evictNode'
  | 'acknowledge'
  | 'authorities'
>;

const CLOSED = refuse('LINK_CLOSED', 'the issuer is gone');

/** Issuers that one question is put to, when each of them ends before it answers. */
const TRIES = 3;
const INTERRUPTED = refuse('LINK_CLOSED', `${TRIES} issuers ended while they were asked this`);

const EVENTS = ['denied', 'issued', 'outbox', 'entries', 'authorities'] as const;

/** Strangers are denied too, each with a PID of its own. */
const REMEMBERED_DENIALS = 1024;

function remember(denials: Map<number, string>, pid: number, detail: string): void {
  denials.delete(pid);
  denials.set(pid, detail);
  const [oldest] = denials.keys();
  if (denials.size > REMEMBERED_DENIALS && oldest !== undefined) denials.delete(oldest);
}

function keyOf(pid: number, startTime: number): string {
  return `${pid}@${startTime}`;
}

/** The launcher's key pair lives in this closure alone and as long as the launcher. */
export function createIssuerLink(): IssuerLink {
  const pair: { publicKey: KeyObject; privateKey: KeyObject } = generateKeyPairSync('ec', {
    namedCurve: 'P-256',
  });
  const living = new Map<string, AttestationClaims>();
  const listeners = new Set<(event: LinkEvent) => void>();
  const attached = new Set<() => void>();
  const minted = new Set<(leaf: Uint8Array, spiffeId: string) => void>();
  const minting = new Set<Promise<Minted>>();
  const denials = new Map<number, string>();
  let entries: readonly Registration[] = [];
  let link: LauncherLink | undefined;
  let next = Promise.withResolvers<LauncherLink | undefined>();
  let closed = false;

  const current = async (): Promise<LauncherLink | undefined> => link ?? (await next.promise);

  /**
   * Repeats a question that the issuer's death interrupted at the issuer that follows. Not for ever:
   * it may be what they die of.
   */
  async function ask<T>(question: (to: LauncherLink) => Promise<Outcome<T>>): Promise<Outcome<T>> {
    for (let interrupted = 1; ; interrupted += 1) {
      const to = await current();
      if (to === undefined) return CLOSED;
      const answer = await question(to);
      if (answer.ok || answer.code !== 'LINK_CLOSED' || closed) return answer;
      if (interrupted === TRIES) return INTERRUPTED;
      await to.closed;
    }
  }

  function release(): void {
    closed = true;
    next.resolve(undefined);
  }

  async function mint(request: MintRequest): Promise<Minted> {
    const answer = await ask((to) => to.mint(request));
    const [leaf] = answer.ok ? answer.value.chain : [];
    if (leaf !== undefined) for (const listener of minted) listener(leaf, request.spiffeId);
    return answer;
  }

  return {
    publicKey: pair.publicKey.export({ type: 'spki', format: 'der' }).toString('base64'),
    attach: async (duplex) => {
      const fresh = connectLauncherLink(duplex, pair.privateKey);
      void fresh.closed.then(() => {
        if (link === fresh) link = undefined;
      });
      for (const name of EVENTS) {
        fresh.on(name, (event) => {
          if (event.event === 'denied') remember(denials, event.pid, event.detail);
          for (const listener of listeners) listener(event);
        });
      }
      const set = await fresh.setEntries(entries);
      if (!set.ok) return set;
      const told = await Promise.all([...living.values()].map((claims) => fresh.attest(claims)));
      const refused = told.find((outcome) => !outcome.ok);
      if (refused !== undefined) return refused;
      if (closed) return CLOSED;
      link = fresh;
      next.resolve(fresh);
      next = Promise.withResolvers();
      for (const listener of attached) listener();
      return set;
    },
    setEntries: async (set) => {
      entries = set;
      return link === undefined ? { ok: true, value: {} } : link.setEntries(set);
    },
    entries: () => entries,
    attest: async (claims) => {
      living.set(keyOf(claims.pid, claims.startTime), claims);
      const outcome = await ask((to) => to.attest(claims));
      if (!outcome.ok) living.delete(keyOf(claims.pid, claims.startTime));
      return outcome;
    },
    exited: (pid, startTime) => {
      living.delete(keyOf(pid, startTime));
      void link?.exited(pid, startTime);
    },
    mint: (request) => {
      const answer = mint(request).finally(() => minting.delete(answer));
      minting.add(answer);
      return answer;
    },
    pending: async (after) => {
      const page = await ask((to) => to.pending(after));
      // The issuer answers in order, yet of two answers in one chunk the later may be read first.
      await Promise.allSettled(minting);
      return page;
    },
    bundle: () => ask((to) => to.bundle()),
    administer: ask,
    onEvent: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    onAttached: (listener) => {
      attached.add(listener);
      return () => attached.delete(listener);
    },
    onMinted: (listener) => {
      minted.add(listener);
      return () => minted.delete(listener);
    },
    denialOf: (pid) => denials.get(pid),
    release,
    close: () => {
      release();
      link?.close();
    },
  };
}
