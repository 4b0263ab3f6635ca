import type { SpiffeBundle } from '../bundle-document.ts';
import { writeBundleDocument } from '../bundle-document.ts';
import type { IssuerCode } from '../issuer/codes.ts';
import { renewal } from '../issuer/commit.ts';
import type { RegistrationEntry } from '../issuer/entry.ts';
import { accept, type Outcome, refuse } from '../outcome.ts';
import type { SpiffeId } from '../spiffe-id.ts';
import type { X509Bundle } from '../svid.ts';
import {
  joinNode,
  type NodeEndpoint,
  type NodeIdentity,
  type NodeNews,
  type NodeOutcome,
  renewNode,
  watchNode,
} from './client.ts';
import type { NodeCode } from './codes.ts';
import { keepNode, keptNode } from './keeping.ts';

export interface MembershipOptions {
  readonly host: string;
  readonly port: number;
  /** By which the issuer is known at first; later by what it publishes. */
  readonly bundle: X509Bundle;
  /** Used when nothing is kept, or what is kept is no good any more. */
  readonly token?: string;
  /** Absolute: where key, SVID and bundle are kept, in a file of mode 0600. */
  readonly folder: string;
  readonly clock: () => Date;
  readonly random: (size: number) => Uint8Array;
  /** One line for whoever runs the agent; never holds a secret. */
  readonly say: (line: string) => void;
  /** Stops waiting for an issuer that is away. */
  readonly signal?: AbortSignal;
}

/** A node that joined: it renews itself and follows what its issuer has for it. */
export interface Membership {
  readonly id: SpiffeId;
  entries(): readonly RegistrationEntry[];
  bundle(): SpiffeBundle;
  /** Asks the issuer as this node; once more when its SVID was renewed meanwhile. */
  ask<T>(question: (endpoint: NodeEndpoint, node: NodeIdentity) => NodeOutcome<T>): NodeOutcome<T>;
  onNews(listener: (news: Pick<NodeNews, 'entries' | 'bundle'>) => void): void;
  readonly ended: Promise<{ readonly code: string; readonly detail: string }>;
  close(): void;
}

type Refusal = {
  readonly ok: false;
  readonly code: NodeCode | IssuerCode;
  readonly detail: string;
};

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;
/** A node of which nothing is known there any more: no retry changes that. */
const isOver = ({ code }: { code: string }): boolean => code === 'NODE_UNKNOWN';

function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, milliseconds);
    signal.addEventListener('abort', done);
    if (signal.aborted) done();
  });
}

/** Says what went wrong once, and that it is well again. */
function complaints(say: (line: string) => void) {
  let last = '';
  return {
    of: ({ code, detail }: Refusal): void => {
      if (code !== last) say(`${code}: ${detail}`);
      last = code;
    },
    none: (): void => {
      if (last !== '') say('the issuer answers again');
      last = '';
    },
  };
}

/** Resolves with the first news: from then on it is known who may have what. */
export async function openMembership(options: MembershipOptions): Promise<Outcome<Membership>> {
  const { clock, random, folder, say, token } = options;
  const stopping = new AbortController();
  options.signal?.addEventListener('abort', () => stopping.abort());
  const { signal } = stopping;
  const endpointOf = (bundle: X509Bundle): NodeEndpoint => {
    const { host, port } = options;
    return { host, port, bundle, now: clock, signal };
  };
  const trouble = complaints(say);

  const join = async (): Promise<Outcome<NodeIdentity, Refusal['code']>> => {
    if (token === undefined) {
      return refuse('NODE_TOKEN_MISSING', "make one with 'swarmproof identity token'");
    }
    const joined = await joinNode(endpointOf(options.bundle), token);
    if (!joined.ok) return joined;
    keepNode(folder, joined.value);
    say(`joined as ${joined.value.svid.id}`);
    return joined;
  };

  /** The first news; joins anew where a token was given for a node that is over. */
  const begin = async (): Promise<Outcome<{ node: NodeIdentity; news: NodeNews }>> => {
    const kept = keptNode(folder, options.bundle.trustDomain, clock());
    if (!kept.ok && token === undefined) return kept;
    if (!kept.ok) say(`${kept.code}: ${kept.detail}`);
    let identity: Outcome<NodeIdentity, Refusal['code']> =
      kept.ok && kept.value !== undefined ? accept(kept.value) : await join();
    let tried = false;
    for (let wait = FIRST_PAUSE_MS; ; wait = Math.min(wait * 2, LONGEST_PAUSE_MS)) {
      if (!identity.ok) return identity;
      const node = identity.value;
      let news = await watchNode(endpointOf(node.bundle.x509), node, '');
      // It was away while every authority that it knew was replaced: the operator brought new ones.
      if (!news.ok && news.code === 'NODE_SERVER_UNPROVEN') {
        news = await watchNode(endpointOf(options.bundle), node, '');
      }
      if (news.ok)
        return accept({ node: { ...node, bundle: news.value.bundle }, news: news.value });
      if (signal.aborted) return news;
      const unverified = news.code === 'NODE_UNVERIFIED';
      if (isOver(news) || (unverified && token !== undefined && !tried)) {
        if (token === undefined) return news;
        trouble.of(news);
        tried = true;
        const anew = await join();
        if (anew.ok) {
          identity = anew;
          continue;
        }
        if (anew.code !== 'TOKEN_USED') return anew;
        if (!unverified) return news;
      }
      // An impostor, or an issuer that is another one now: nothing to wait for. But clocks are set.
      if (news.code !== 'NODE_UNREACHABLE' && !unverified) return news;
      if (unverified && node.svid.notAfter <= clock()) return news;
      trouble.of(news);
      await pause(wait, signal);
    }
  };

  const begun = await begin();
  if (!begun.ok) return begun;
  trouble.none();
  return accept(follow(begun.value.node, begun.value.news));

  function follow(first: NodeIdentity, firstNews: NodeNews): Membership {
    let node = first;
    let { entries, mark } = firstNews;
    /** Breaks off the question for news that is under way. */
    let asking = new AbortController();
    const listeners = new Set<Parameters<Membership['onNews']>[0]>();
    const over = Promise.withResolvers<{ readonly code: string; readonly detail: string }>();
    const tell = (): void => {
      for (const listener of listeners) listener({ entries, bundle: node.bundle });
    };
    const end = ({ code, detail }: { code: string; detail: string }): void => {
      if (signal.aborted) return;
      entries = [];
      tell();
      stopping.abort();
      over.resolve({ code, detail });
    };
    const become = (next: NodeIdentity): void => {
      // On disk before it is shown: from then on the one before is nobody's.
      keepNode(folder, next);
      node = next;
    };
    const ask: Membership['ask'] = async (question) => {
      const before = node;
      const answer = await question(endpointOf(before.bundle.x509), before);
      if (answer.ok || !isOver(answer)) return answer;
      if (node.svid !== before.svid) return question(endpointOf(node.bundle.x509), node);
      end(answer);
      return answer;
    };

    const watching = async (): Promise<void> => {
      let wait = FIRST_PAUSE_MS;
      while (!signal.aborted) {
        const asked = new AbortController();
        asking = asked;
        const either = AbortSignal.any([signal, asked.signal]);
        const answer = await ask((endpoint, me) =>
          // After trouble it is asked for an answer at once, which shows that there is somebody.
          watchNode({ ...endpoint, signal: either }, me, wait === FIRST_PAUSE_MS ? mark : ''),
        );
        if (signal.aborted) return;
        if (!answer.ok) {
          // Broken off by a renewal, which is why it asks again.
          if (asked.signal.aborted) continue;
          trouble.of(answer);
          await pause(wait, signal);
          wait = Math.min(wait * 2, LONGEST_PAUSE_MS);
          continue;
        }
        trouble.none();
        wait = FIRST_PAUSE_MS;
        if (answer.value.mark === mark) continue;
        const { bundle } = answer.value;
        ({ entries, mark } = answer.value);
        if (writeBundleDocument(bundle) !== writeBundleDocument(node.bundle)) {
          become({ ...node, bundle });
        }
        tell();
      }
    };

    const renewing = async (): Promise<void> => {
      let wait = FIRST_PAUSE_MS;
      let due = renewal(clock(), node.svid.notAfter, random(2));
      for (;;) {
        await pause(Math.max(due - clock().getTime(), 0), signal);
        if (signal.aborted) return;
        if (node.svid.notAfter <= clock()) {
          return end({ code: 'NODE_KEPT_UNUSABLE', detail: 'the SVID of this node has ended' });
        }
        const renewed = await renewNode(endpointOf(node.bundle.x509), node);
        if (signal.aborted) return;
        if (renewed.ok) {
          become(renewed.value);
          asking.abort();
          wait = FIRST_PAUSE_MS;
          due = renewal(clock(), node.svid.notAfter, random(2));
        } else if (isOver(renewed)) {
          return end(renewed);
        } else {
          trouble.of(renewed);
          due = Math.min(clock().getTime() + wait, node.svid.notAfter.getTime());
          wait = Math.min(wait * 2, LONGEST_PAUSE_MS);
        }
      }
    };

    keepNode(folder, node);
    // They end with the membership; a disk that is full is a fault that must be seen.
    const failed = (error: unknown): void =>
      end({ code: 'NODE_KEPT_UNUSABLE', detail: error instanceof Error ? error.message : '' });
    watching().catch(failed);
    renewing().catch(failed);

    return {
      id: node.svid.id,
      entries: () => entries,
      bundle: () => node.bundle,
      ask,
      onNews: (listener) => {
        listeners.add(listener);
      },
      ended: over.promise,
      close: () => stopping.abort(),
    };
  }
}
