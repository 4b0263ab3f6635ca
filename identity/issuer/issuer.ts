import { createHash, type KeyObject, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { attest, attestors, prepare } from '../attestors/index.ts';
import { createLauncherAttestor } from '../attestors/launcher.ts';
import { openPeerCredentials } from '../attestors/peer-credentials.ts';
import { isOnDemand } from '../attestors/unix.ts';
import { accept, type Outcome, refuse } from '../outcome.ts';
import { parseSpiffeId } from '../spiffe-id.ts';
import { bundleDocument, createAdministration } from './administration.ts';
import { openAuthorities } from './authorities.ts';
import { createChanges } from './changes.ts';
import { CONNECTION_LIMITS, type ConnectionLimits } from './connections.ts';
import { oncePerProcess } from './denials.ts';
import { createEntitlement, type FederatedBundle, processKey } from './entitlement.ts';
import { openJwtAuthorities } from './jwt-authorities.ts';
import { createJwtSvids } from './jwt-svids.ts';
import type { MintRequest } from './link-messages.ts';
import { serveLauncherLink } from './link-server.ts';
import type { LogRow } from './log.ts';
import { createNodeServer } from './node-server.ts';
import { createNodeService } from './node-service.ts';
import { createOutbox } from './outbox.ts';
import { pooledRandom } from './random-pool.ts';
import { createRefusalLog } from './refusal-log.ts';
import { openRegistry } from './registry.ts';
import { createSealer, loadSecret } from './sealing.ts';
import { openStore, type Store } from './store.ts';
import { storeRefusal } from './store-error.ts';
import { createSvids } from './svids.ts';
import { parsePublicKey } from './workload-key.ts';
import { serveWorkloadApi } from './workload-server.ts';

export interface IssuerOptions {
  /** Absolute; made 0700. Holds `issuer.db` and `issuer.key` (0600). */
  readonly stateDir: string;
  /** Absolute; its folder is made 0700. */
  readonly socketPath: string;
  readonly socketMode?: number;
  readonly trustDomain: string;
  /** The issuer's end of the descriptor that it inherited from the launcher. */
  readonly link: Duplex;
  /** Public half of the launcher's key. */
  readonly launcherKey: KeyObject;
  /** Key id → public key by which images are signed. */
  readonly ciKeys: ReadonlyMap<string, KeyObject>;
  /** SPIFFE IDs that the launcher may have certified over its own keys (broker, supervisor). */
  readonly mintable: readonly string[];
  readonly clock?: () => Date;
  readonly random?: (size: number) => Uint8Array;
  readonly platform?: string;
  readonly limits?: Partial<ConnectionLimits>;
  /** Bundles of foreign trust domains, which entries may federate with; none unless given. */
  readonly federated?: (trustDomain: string) => FederatedBundle | undefined;
  /** SPIRE's `agent_ttl`, in seconds; an hour unless given. */
  readonly nodeTtlSeconds?: number;
  /** SPIRE's `workload_size_limit` for `unix:sha256`, in bytes. */
  readonly workloadSizeLimit?: number;
  /**
   * The link has ended, and not by `close`: this issuer knows no process any more and is told of none.
   * Only another one, with a link of its own, can give identities again.
   */
  readonly linkLost?: () => void;
  /** One line for the issuer's own log; never holds a secret. */
  readonly say?: (line: string) => void;
}

export interface Issuer {
  /** How surely a caller is told from a later process with its PID. */
  readonly capability: 'pidfd' | 'start-time';
  /** DER of the trust domain's authorities. */
  bundle(): readonly Uint8Array[];
  /** Issuances that the ledger has not acknowledged, oldest first. */
  pending(limit: number): readonly LogRow[];
  acknowledge(upTo: number): void;
  /** Calls back after an issuance is on disk. Returns the function that stops it. */
  onIssued(listener: () => void): () => void;
  /** What is done once a minute: authorities by their age, and forgetting what has ended. */
  housekeep(): Promise<void>;
  close(): Promise<void>;
}

const HOUSEKEEPING_MS = 60_000;
/** A spent token is told from one that never was for so long. */
const TOKENS_KEPT_SECONDS = 30 * 24 * 3600;

/** @throws Error `CODE: one line` when the state, the platform or the socket path is unusable */
export async function startIssuer(options: IssuerOptions): Promise<Issuer> {
  const { trustDomain, stateDir } = options;
  const clock = options.clock ?? (() => new Date());
  const random = options.random ?? randomBytes;
  const federated = options.federated ?? (() => undefined);
  const say = options.say ?? (() => {});
  const credentials = must(openPeerCredentials(options.platform ?? process.platform));
  const issuedListeners = new Set<() => void>();
  let closing = false;
  const store = telling(must(openStore(stateDir)), () => {
    for (const listener of issuedListeners) listener();
  });
  const sealer = createSealer(must(loadSecret(join(stateDir, 'issuer.key'))));
  const authorities = must(await openAuthorities({ store, sealer, trustDomain, clock, random }));
  const jwtAuthorities = must(await openJwtAuthorities({ store, sealer, trustDomain, clock }));
  const launcher = createLauncherAttestor(options.launcherKey, options.ciKeys);
  const changes = createChanges(() => (random(1)[0] ?? 0) / 255, isOnDemand);

  const svids = createSvids({
    store,
    authorities,
    clock,
    random: pooledRandom(random),
    issued: ({ id, serial, notAfter }) => {
      link.emit({ event: 'issued', spiffeId: id, serial, notAfter: notAfter.toISOString() });
    },
  });
  const jwtSvids = createJwtSvids({ store, authorities: jwtAuthorities, clock, random });
  const registry = openRegistry({
    store,
    trustDomain,
    clock,
    federated: (domain) => federated(domain) !== undefined,
    launcher: fingerprint(options.launcherKey),
    changed: ({ come, gone }) => {
      svids.withdraw(gone);
      jwtSvids.withdraw(gone);
      changes.notifyFor([...come, ...gone]);
      link.emit({ event: 'entries' });
    },
  });
  const list = attestors({
    launcher,
    unix: {
      wanted: registry.uses,
      ...(options.workloadSizeLimit !== undefined && {
        workloadSizeLimit: options.workloadSizeLimit,
      }),
    },
  });

  const mint = (request: MintRequest) => {
    const id = parseSpiffeId(request.spiffeId);
    if (!id.ok || !options.mintable.includes(id.value)) {
      return refuse('MINT_NOT_PINNED', `${request.spiffeId} may not be minted`);
    }
    const key = parsePublicKey(Buffer.from(request.publicKey, 'base64'));
    if (key === undefined) return refuse('MINT_KEY_INVALID', 'the key is not P-256 SPKI');
    const leaf = svids.mint({
      id: id.value,
      publicKey: key.spki,
      ttlSeconds: request.ttl,
      dns: request.dns ?? [],
      ip: request.ip ?? [],
    });
    if (!leaf.ok) return leaf;
    const chain = [Buffer.from(leaf.value.certificate).toString('base64')];
    return accept({ chain, notAfter: leaf.value.notAfter.toISOString() });
  };

  const parts = { store, authorities, jwtAuthorities, registry, trustDomain, clock, random };
  const nodes = createNodeService({
    ...parts,
    jwtSvids,
    ttlSeconds: options.nodeTtlSeconds,
    evicted: () => changes.notify(),
  });
  // Strangers of the network: their refusals must not fill a log, nor the link.
  const refusals = createRefusalLog((line) => {
    say(`node endpoint: ${line}`);
    link.emit({ event: 'denied', pid: 0, detail: line });
  });
  const nodeServer = createNodeServer({
    service: nodes,
    authorities,
    trustDomain,
    clock,
    changes,
    mint: svids.mint,
    refused: refusals.note,
    bundle: () => must(bundleDocument(parts)),
  });

  const link = serveLauncherLink(options.link, {
    attest: (attestation) => {
      const recorded = launcher.record(attestation);
      return recorded.ok ? accept({}) : recorded;
    },
    exited: (pid, startTime) => {
      launcher.exited(pid, startTime);
      svids.forget(processKey({ pid, startTime }));
      jwtSvids.forget(processKey({ pid, startTime }));
    },
    entries: registry.replace,
    mint,
    bundle: () => ({
      trustDomain,
      authorities: authorities.bundle().map((der) => Buffer.from(der).toString('base64')),
    }),
    ...createAdministration({ ...parts, nodes, nodeServer }),
    ...createOutbox(store),
    // Nobody reports exits any more: what the launcher said must not outlive it.
    closed: () => {
      launcher.forget();
      if (!closing) options.linkLost?.();
    },
  });
  launcher.onChange((pid) => changes.notify(pid));
  issuedListeners.add(() => link.emit({ event: 'outbox' }));

  const server = await serveWorkloadApi({
    socketPath: options.socketPath,
    socketMode: options.socketMode,
    trustDomain,
    credentials,
    entitlement: createEntitlement({
      prepare: (peer) => prepare(list, peer),
      attest: (peer) => attest(list, peer),
      match: registry.match,
      authorities,
      jwtAuthorities,
      svids,
      jwtSvids,
      federated,
    }),
    changes,
    clock,
    limits: { ...CONNECTION_LIMITS, ...options.limits },
    denied: oncePerProcess((pid, detail) => link.emit({ event: 'denied', pid, detail })),
  });
  const now = Math.floor(clock().getTime() / 1000);
  const address = store.nodeAddress();
  if (address !== undefined && store.awaitsNodes(now)) {
    const opened = await nodeServer.open(address);
    say(`node endpoint: ${opened.ok ? `listens on ${opened.value}` : opened.detail}`);
  }

  const housekeep = async (): Promise<void> => {
    svids.sweep();
    jwtSvids.sweep();
    store.dropTokens(clock().getTime() / 1000 - TOKENS_KEPT_SECONDS);
    const x509 = await authorities.advance();
    const jwt = await jwtAuthorities.advance();
    if (x509) nodeServer.renew();
    if (!x509 && !jwt) return;
    changes.notifySpread();
    link.emit({ event: 'authorities' });
  };
  // What a full disk keeps from being done now is due again a minute later.
  const housekeeping = setInterval(() => housekeep().catch(storeRefusal), HOUSEKEEPING_MS);

  return {
    capability: credentials.capability,
    bundle: authorities.bundle,
    pending: store.pending,
    acknowledge: store.acknowledge,
    onIssued: (listener) => {
      issuedListeners.add(listener);
      return () => issuedListeners.delete(listener);
    },
    housekeep,
    close: async () => {
      closing = true;
      clearInterval(housekeeping);
      await server.close();
      await nodeServer.close();
      refusals.close();
      link.close();
      store.close();
    },
  };
}

/** The store, which tells of each row of the log when it is on disk, whatever kind of SVID it is of. */
function telling(store: Store, tell: () => void): Store {
  return {
    ...store,
    recordIssuances: (issuances) => {
      store.recordIssuances(issuances);
      tell();
    },
    recordWith: (issuances, work) => {
      const done = store.recordWith(issuances, work);
      if (done) tell();
      return done;
    },
  };
}

/** Names a launcher by its key, which is made anew at each start of a swarm. */
function fingerprint(key: KeyObject): string {
  return createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('hex');
}

function must<T>(outcome: Outcome<T>): T {
  if (!outcome.ok) throw new Error(`${outcome.code}: ${outcome.detail}`);
  return outcome.value;
}
