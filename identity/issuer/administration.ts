import { bundleFromCertificates } from '../bundle.ts';
import { writeBundleDocument } from '../bundle-document.ts';
import { accept, type Outcome } from '../outcome.ts';
import type { Authorities } from './authorities.ts';
import { AUTHORITY_TTL_SECONDS } from './authority.ts';
import type { RegistrationEntry } from './entry.ts';
import type { JwtAuthorities } from './jwt-authorities.ts';
import type { EntriesReply } from './link-messages.ts';
import type { Administration } from './link-server.ts';
import type { NodeServer } from './node-server.ts';
import type { NodeService } from './node-service.ts';
import type { Registry } from './registry.ts';
import type { EntryOrigin, Store } from './store.ts';

export interface AdministrationOptions {
  readonly trustDomain: string;
  readonly registry: Registry;
  readonly store: Store;
  readonly authorities: Authorities;
  readonly jwtAuthorities: JwtAuthorities;
  readonly nodes: NodeService;
  readonly nodeServer: NodeServer;
}

/** One answer stays well below the line that the link takes, whatever a workload had logged. */
const PAGE_BYTES = 512 * 1024;
const ROWS_PER_PAGE = 1000;
/** Where agents come in when nothing else was said: this machine alone. */
const DEFAULT_LISTEN = '127.0.0.1:0';
/** SPIRE's: a tenth of an authority's life. New keys are published for three of these and more. */
const REFRESH_HINT_SECONDS = AUTHORITY_TTL_SECONDS / 10;

/** The SPIFFE bundle document of the trust domain, both kinds of keys, with its sequence (B-01). */
export function bundleDocument(
  parts: Pick<AdministrationOptions, 'trustDomain' | 'authorities' | 'jwtAuthorities' | 'store'>,
): Outcome<string> {
  const { trustDomain, authorities, jwtAuthorities, store } = parts;
  const x509 = bundleFromCertificates(trustDomain, authorities.bundle());
  if (!x509.ok) return x509;
  return accept(
    writeBundleDocument({
      trustDomain,
      x509: x509.value,
      jwt: jwtAuthorities.bundle(),
      sequence: BigInt(store.bundleSequence()),
      refreshHint: REFRESH_HINT_SECONDS,
    }),
  );
}

/** The first of a list that fit; at least one, where there is one. */
function page<T>(list: readonly T[]): T[] {
  const fitting: T[] = [];
  let size = 0;
  for (const one of list) {
    size += JSON.stringify(one).length;
    if (fitting.length > 0 && size > PAGE_BYTES) break;
    fitting.push(one);
  }
  return fitting;
}

function reply(stored: { entry: RegistrationEntry; origin: EntryOrigin }[]): EntriesReply {
  const entries = stored.map(({ entry, origin }) => ({
    origin,
    entry: {
      ...entry,
      selectors: [...entry.selectors],
      federates_with: [...entry.federates_with],
      dns_names: [...entry.dns_names],
    },
  }));
  return { entries, total: entries.length };
}

/** What an operator asks of the issuer. */
export function createAdministration(options: AdministrationOptions): Administration {
  const { trustDomain, registry, store, nodes, nodeServer } = options;
  return {
    listEntries: (offset) => {
      const all = registry.list();
      return { ...reply(page(all.slice(offset, offset + ROWS_PER_PAGE))), total: all.length };
    },
    addEntries: (inputs) => {
      const added = registry.add(inputs);
      if (!added.ok) return added;
      return accept(reply(added.value.map((entry) => ({ entry, origin: 'added' }))));
    },
    removeEntry: (id) => {
      const removed = registry.remove(id);
      return removed.ok ? accept(reply([removed.value])) : removed;
    },
    issued: (from) => ({ rows: page(store.logFrom(from, ROWS_PER_PAGE)), head: store.head() }),
    bundleDocument: () => {
      const document = bundleDocument(options);
      return document.ok ? accept({ trustDomain, document: document.value }) : document;
    },
    listNodes: () => ({ nodes: [...nodes.list()] }),
    evictNode: (id) => {
      const evicted = nodes.evict(id);
      return evicted.ok ? accept({ nodes: [evicted.value] }) : evicted;
    },
    joinToken: async ({ ttl, listen }) => {
      const open = nodeServer.address();
      const address = await nodeServer.open(
        listen ?? open ?? store.nodeAddress() ?? DEFAULT_LISTEN,
      );
      if (!address.ok) return address;
      store.writeNodeAddress(address.value);
      const made = nodes.createToken(ttl);
      if (!made.ok) return made;
      const { token, agentId, expiresAt } = made.value;
      return accept({ token, agentId, expiresAt: expiresAt.toISOString(), address: address.value });
    },
  };
}
