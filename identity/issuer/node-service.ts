import { joinTokenSelectors } from '../attestors/index.ts';
import {
  createJoinToken,
  isJoinToken,
  JOIN_TOKEN_TTL,
  joinTokenAgentId,
  joinTokenDigest,
} from '../attestors/join-token.ts';
import {
  type AttestRequest,
  isProof,
  type KeyRequest,
  type SvidRequest,
  type TokenRequest,
} from '../node/protocol.ts';
import { accept, type Outcome, refuse } from '../outcome.ts';
import { type SpiffeId, spiffeId } from '../spiffe-id.ts';
import type { Authorities } from './authorities.ts';
import type { IssuerCode } from './codes.ts';
import { DEFAULT_X509_TTL_SECONDS, type RegistrationEntry } from './entry.ts';
import type { IssuedJwt, JwtSvids } from './jwt-svids.ts';
import { issueLeaf, type Leaf } from './leaf.ts';
import type { Registry } from './registry.ts';
import type { NodeRow, Store } from './store.ts';
import { logged, secondsLeft } from './svids.ts';
import { parsePublicKey } from './workload-key.ts';

/** A joined node, as its certificate and the store have it. */
export interface Node {
  readonly id: SpiffeId;
  readonly serial: string;
}

/** What the issuer does for agents on other machines; the network is somebody else's. */
export interface NodeService {
  createToken(
    ttlSeconds: number,
  ): Outcome<{ token: string; agentId: string; expiresAt: Date }, IssuerCode>;
  /** Lets one agent in for one token, once. @param exported ties the proof to the connection */
  attest(request: AttestRequest, exported: Uint8Array): Outcome<Leaf, IssuerCode>;
  /** Whether a verified agent SVID is the present one of a node that joined. */
  present(node: Node): Outcome<true, IssuerCode>;
  /** SPIRE's RenewAgent: the old SVID serves until the new one is shown. */
  renew(node: Node, request: KeyRequest, exported: Uint8Array): Outcome<Leaf, IssuerCode>;
  /** The entries whose parent the node is, by its ID or by an alias. */
  entriesOf(node: Node): readonly RegistrationEntry[];
  /** All or none. */
  svids(
    node: Node,
    requests: readonly SvidRequest[],
    exported: Uint8Array,
  ): Outcome<readonly { readonly entryId: string; readonly leaf: Leaf }[], IssuerCode>;
  token(node: Node, request: TokenRequest): Promise<Outcome<IssuedJwt, IssuerCode>>;
  list(): readonly JoinedNode[];
  /** SPIRE's DeleteAgent: what it holds stays valid to its end, and it gets nothing more. */
  evict(id: string): Outcome<JoinedNode, IssuerCode>;
}

/** A node as an operator sees it. Times in seconds since the epoch. */
export interface JoinedNode {
  readonly id: string;
  readonly joinedAt: number;
  /** End of its present SVID; it renews before. */
  readonly expiresAt: number;
  /** When it last asked for anything; absent: not since this issuer started. */
  readonly seenAt?: number;
}

export interface NodeServiceOptions {
  readonly store: Store;
  readonly authorities: Authorities;
  readonly registry: Registry;
  readonly jwtSvids: Pick<JwtSvids, 'forProcess' | 'forget'>;
  /** Life of a node's own SVID, in seconds; SPIRE's `agent_ttl`. */
  readonly ttlSeconds?: number | undefined;
  /** After a node was put out. */
  readonly evicted: () => void;
  readonly trustDomain: string;
  readonly clock: () => Date;
  readonly random: (size: number) => Uint8Array;
}

const MINUTE_MS = 60_000;
/** More than the workloads of one machine need, and what a node that was taken over may have logged. */
const SVIDS_PER_MINUTE = 6000;
/** Of its own. Apart from the others, so that a node with many workloads stays a node. */
const RENEWALS_PER_MINUTE = 60;

const seconds = (date: Date): number => Math.floor(date.getTime() / 1000);

/** Each SVID is a row of a log that nothing shortens: nobody has more than `most` of them a minute. */
function perMinute(clock: () => Date, most: number) {
  const counts = new Map<string, { readonly minute: number; readonly count: number }>();
  return {
    mayHaveMore: (id: string): boolean => {
      const minute = Math.floor(clock().getTime() / MINUTE_MS);
      const before = counts.get(id);
      const count = before?.minute === minute ? before.count + 1 : 1;
      counts.set(id, { minute, count });
      return count <= most;
    },
    forget: (id: string) => counts.delete(id),
  };
}

export function createNodeService(options: NodeServiceOptions): NodeService {
  const { store, authorities, registry, trustDomain, clock, random } = options;
  const ownLife = { ttlSeconds: options.ttlSeconds ?? DEFAULT_X509_TTL_SECONDS };
  const seen = new Map<string, number>();
  const made = perMinute(clock, SVIDS_PER_MINUTE);
  const renewed = perMinute(clock, RENEWALS_PER_MINUTE);

  const issue = (
    id: SpiffeId,
    { publicKey, proof }: KeyRequest,
    exported: Uint8Array,
    life: { readonly ttlSeconds: number; readonly dns?: readonly string[] },
  ): Outcome<Leaf, IssuerCode> => {
    const spki = Buffer.from(publicKey, 'base64');
    const key = parsePublicKey(spki);
    if (key === undefined) return refuse('MINT_KEY_INVALID', 'the key is not P-256 SPKI');
    if (!isProof(exported, spki, key.key, proof)) {
      return refuse('NODE_KEY_UNPROVEN', 'the proof is not of this key on this connection');
    }
    return issueLeaf(
      { id, publicKey: key.spki, ...life },
      authorities.active(),
      clock(),
      random(16),
    );
  };
  const rowOf = (leaf: Leaf, entry: string, have: Parameters<typeof logged>[2]) =>
    logged(leaf, entry, have, authorities.active().id);

  const entriesOf = (node: Node): readonly RegistrationEntry[] => {
    const aliases = registry.match(joinTokenSelectors(node.id)).map((one) => one.spiffe_id);
    return [node.id, ...aliases].flatMap((parent) => registry.childrenOf(parent));
  };

  const entryOf = (node: Node, id: string): Outcome<RegistrationEntry, IssuerCode> => {
    const entry = entriesOf(node).find((one) => one.id === id);
    return entry === undefined
      ? refuse('ENTRY_UNKNOWN', `${node.id} is the parent of no entry ${id}`)
      : accept(entry);
  };
  const joined = ({ agentId, joinedAt, expiresAt }: NodeRow): JoinedNode => {
    const seenAt = seen.get(agentId);
    return { id: agentId, joinedAt, expiresAt, ...(seenAt !== undefined && { seenAt }) };
  };

  const refusedToken = (digest: string): Outcome<never, IssuerCode> => {
    const row = store.token(digest);
    if (row === undefined) return refuse('TOKEN_UNKNOWN', 'no such join token was made here');
    return row.usedAt === undefined
      ? refuse('TOKEN_EXPIRED', `the join token of ${row.agentId} has ended`)
      : refuse('TOKEN_USED', `the join token of ${row.agentId} was used before`);
  };

  return {
    createToken: (ttlSeconds) => {
      const { min, max } = JOIN_TOKEN_TTL;
      if (!(ttlSeconds >= min && ttlSeconds <= max)) {
        return refuse('TOKEN_LIFETIME', `a join token lives ${min} to ${max} seconds`);
      }
      const { token, digest, agentId } = createJoinToken(trustDomain, random);
      const createdAt = seconds(clock());
      const expiresAt = createdAt + ttlSeconds;
      store.addToken({ digest, agentId, createdAt, expiresAt });
      return accept({ token, agentId, expiresAt: new Date(expiresAt * 1000) });
    },
    attest: (request, exported) => {
      if (!isJoinToken(request.token)) {
        return refuse('TOKEN_UNKNOWN', 'what was given is no join token');
      }
      const digest = joinTokenDigest(request.token);
      // First what costs nothing: a stranger buys no signature. What counts is the update below.
      const known = store.token(digest);
      if (
        known === undefined ||
        known.usedAt !== undefined ||
        known.expiresAt <= seconds(clock())
      ) {
        return refusedToken(digest);
      }
      const id = spiffeId(joinTokenAgentId(trustDomain, digest));
      const leaf = issue(id, request, exported, ownLife);
      if (!leaf.ok) return leaf;
      const now = seconds(clock());
      const { serial, notAfter } = leaf.value;
      const node = { agentId: id, serial, nextSerial: '', expiresAt: seconds(notAfter) };
      // One transaction: the token is used up, the node known and the issuance logged, or nothing.
      const done = store.recordWith(
        [rowOf(leaf.value, 'join_token', joinTokenSelectors(id))],
        () => {
          if (!store.useToken(digest, now)) return false;
          store.writeNode({ ...node, joinedAt: now });
          return true;
        },
      );
      return done ? leaf : refusedToken(digest);
    },
    present: (node) => {
      const row = store.node(node.id);
      if (row === undefined)
        return refuse('NODE_UNKNOWN', `${node.id} has not joined, or was evicted`);
      seen.set(node.id, seconds(clock()));
      if (row.serial === node.serial) return accept(true);
      if (row.nextSerial !== node.serial) {
        return refuse('NODE_UNKNOWN', `${node.id} has another SVID by now`);
      }
      // The node has shown its new SVID: from here on the old one is nobody's.
      store.writeNode({ ...row, serial: node.serial, nextSerial: '' });
      return accept(true);
    },
    renew: (node, request, exported) => {
      const row: NodeRow | undefined = store.node(node.id);
      if (row === undefined) return refuse('NODE_UNKNOWN', `${node.id} has not joined`);
      if (!renewed.mayHaveMore(node.id)) {
        return refuse('SVIDS_TOO_MANY', `more than ${RENEWALS_PER_MINUTE} renewals a minute`);
      }
      const leaf = issue(node.id, request, exported, ownLife);
      if (!leaf.ok) return leaf;
      const { serial, notAfter } = leaf.value;
      store.recordWith([rowOf(leaf.value, 'join_token', joinTokenSelectors(node.id))], () => {
        store.writeNode({ ...row, nextSerial: serial, expiresAt: seconds(notAfter) });
        return true;
      });
      return leaf;
    },
    entriesOf,
    svids: (node, requests, exported) => {
      const have = joinTokenSelectors(node.id);
      const issued: { readonly entryId: string; readonly leaf: Leaf }[] = [];
      for (const request of requests) {
        const found = entryOf(node, request.entryId);
        if (!found.ok) return found;
        if (!made.mayHaveMore(node.id)) {
          return refuse('SVIDS_TOO_MANY', `more than ${SVIDS_PER_MINUTE} new SVIDs a minute`);
        }
        const entry = found.value;
        const ttlSeconds = Math.min(entry.x509_svid_ttl, secondsLeft(entry, clock()));
        const life = { ttlSeconds, dns: entry.dns_names };
        const leaf = issue(entry.spiffe_id, request, exported, life);
        if (!leaf.ok) return leaf;
        issued.push({ entryId: entry.id, leaf: leaf.value });
      }
      // One wait for the disk, whatever one request asks for.
      store.recordIssuances(issued.map(({ entryId, leaf }) => rowOf(leaf, entryId, have)));
      return accept(issued);
    },
    token: async (node, { entryId, audience }) => {
      const found = entryOf(node, entryId);
      if (!found.ok) return found;
      const holder = `${node.id} ${entryId}`;
      const have = joinTokenSelectors(node.id);
      const tokens = await options.jwtSvids.forProcess(holder, [found.value], audience, have);
      if (!tokens.ok) return tokens;
      const [token] = tokens.value;
      // The disk took its time: who was put out meanwhile gets nothing.
      const still = entryOf(node, entryId);
      if (token === undefined || !still.ok || store.node(node.id) === undefined) {
        return refuse('NODE_UNKNOWN', `${node.id} was just evicted`);
      }
      return accept(token);
    },
    list: () => store.nodes().map(joined),
    evict: (id) => {
      const row = store.node(id);
      if (row === undefined || !store.removeNode(id)) {
        return refuse('NODE_UNKNOWN', `no node ${id} has joined`);
      }
      const was = joined(row);
      seen.delete(id);
      made.forget(id);
      renewed.forget(id);
      for (const { id: entry } of entriesOf({ id: spiffeId(id), serial: '' })) {
        options.jwtSvids.forget(`${id} ${entry}`);
      }
      options.evicted();
      return accept(was);
    },
  };
}
