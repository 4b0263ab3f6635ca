import { attest, prepare } from '../attestors/index.ts';
import { openPeerCredentials } from '../attestors/peer-credentials.ts';
import { createUnixAttestor, isOnDemand } from '../attestors/unix.ts';
import type { SpiffeBundle } from '../bundle-document.ts';
import { createChanges } from '../issuer/changes.ts';
import { CONNECTION_LIMITS } from '../issuer/connections.ts';
import { oncePerProcess } from '../issuer/denials.ts';
import { createEntitlement } from '../issuer/entitlement.ts';
import type { RegistrationEntry } from '../issuer/entry.ts';
import { createEntryIndex } from '../issuer/entry-index.ts';
import { serveWorkloadApi, type WorkloadServer } from '../issuer/workload-server.ts';
import { accept, type Outcome, refuse } from '../outcome.ts';
import { nodeSvids, nodeToken } from './client.ts';
import { type Membership, type MembershipOptions, openMembership } from './membership.ts';
import { createRemoteSvids, isSameEntry } from './remote-svids.ts';
import { createRemoteTokens } from './remote-tokens.ts';

export interface NodeAgentOptions extends MembershipOptions {
  /** Absolute; its folder is made as it must be. */
  readonly socketPath: string;
  /** Default 0600: workloads run under the agent's uid. */
  readonly socketMode?: number;
  readonly platform?: string;
}

/** A node agent: SPIRE's agent, for the workloads of one machine that joined an issuer's domain. */
export interface NodeAgent {
  readonly id: string;
  /** Resolves when nothing more can come: evicted, or its own SVID has ended. */
  readonly ended: Promise<{ readonly code: string; readonly detail: string }>;
  close(): Promise<void>;
}

const SWEEP_MS = 60_000;

/**
 * Joins, or goes on as the node that was kept; then serves the Workload API to the processes of this
 * machine, each attested by what the kernel says of it. Resolves when it serves.
 */
export async function startNodeAgent(options: NodeAgentOptions): Promise<Outcome<NodeAgent>> {
  const { clock, random } = options;
  const credentials = openPeerCredentials(options.platform ?? process.platform);
  if (!credentials.ok) return credentials;
  const opened = await openMembership(options);
  if (!opened.ok) return opened;
  const membership: Membership = opened.value;

  let entries: readonly RegistrationEntry[] = [];
  let index = createEntryIndex([]);
  let parents: ReadonlySet<string> = new Set();
  let kinds: ReadonlySet<string> = new Set();
  const changes = createChanges(() => (random(1)[0] ?? 0) / 255, isOnDemand);
  const svids = createRemoteSvids({
    clock,
    random,
    svids: (ids) => membership.ask((endpoint, node) => nodeSvids(endpoint, node, ids)),
  });
  const tokens = createRemoteTokens({
    clock,
    token: (entry, audience) =>
      membership.ask((endpoint, node) => nodeToken(endpoint, node, entry, audience)),
  });

  const take = (next: readonly RegistrationEntry[]): void => {
    const kept = new Map(next.map((entry) => [entry.id, entry]));
    const gone = entries.filter((entry) => {
      const now = kept.get(entry.id);
      return now === undefined || !isSameEntry(entry, now);
    });
    entries = next;
    index = createEntryIndex(entries);
    // Each is under this node: by its ID, or by a name that the issuer gave it.
    parents = new Set(entries.map(({ parent_id }) => parent_id));
    const words = entries.flatMap(({ selectors }) => selectors);
    kinds = new Set(words.map(({ type, value }) => `${type}:${value.split(':')[0]}`));
    svids.withdraw(gone);
    tokens.withdraw(gone);
    changes.notify();
  };
  let bundle: SpiffeBundle = membership.bundle();
  let authorities: readonly Uint8Array[] = [];
  const trust = (next: SpiffeBundle): void => {
    bundle = next;
    authorities = next.x509.authorities.map(({ raw }) => new Uint8Array(raw));
    changes.notifySpread();
  };
  trust(bundle);
  take(membership.entries());
  membership.onNews((news) => {
    if (news.bundle !== bundle) trust(news.bundle);
    take(news.entries);
  });

  const list = [createUnixAttestor({ wanted: (kind) => kinds.has(kind) })];
  const server = await serve();
  if (!server.ok) {
    membership.close();
    return server;
  }
  const sweeping = setInterval(() => {
    svids.sweep();
    tokens.sweep();
  }, SWEEP_MS);
  let evicted = false;
  const ended = membership.ended.then((why) => {
    evicted = why.code === 'NODE_UNKNOWN';
    return why;
  });
  return accept({
    id: membership.id,
    ended,
    close: async () => {
      clearInterval(sweeping);
      membership.close();
      await server.value.close(evicted);
    },
  });

  async function serve(): Promise<Outcome<WorkloadServer>> {
    if (!credentials.ok) return credentials;
    try {
      return accept(
        await serveWorkloadApi({
          socketPath: options.socketPath,
          socketMode: options.socketMode,
          trustDomain: bundle.trustDomain,
          credentials: credentials.value,
          entitlement: createEntitlement({
            prepare: (peer) => prepare(list, peer),
            attest: (peer) => attest(list, peer),
            match: (selectors) => index.match(parents, selectors, clock()),
            authorities: { bundle: () => authorities },
            jwtAuthorities: { bundle: () => bundle.jwt },
            svids,
            jwtSvids: tokens,
            federated: () => undefined,
          }),
          changes,
          clock,
          limits: CONNECTION_LIMITS,
          denied: oncePerProcess((pid, detail) => options.say(`process ${pid}: ${detail}`)),
        }),
      );
    } catch (error) {
      const [, code = 'STATE_UNREADABLE', detail = String(error)] =
        /^([A-Z_]+): (.*)$/s.exec(error instanceof Error ? error.message : '') ?? [];
      return refuse(code, detail);
    }
  }
}
