import type { SpiffeId } from '../spiffe-id.ts';
import type { BundleSet, X509Source, X509Svid } from '../svid.ts';
import type { X509BundlesResponse, X509SVIDResponse } from './generated/workload_pb.ts';
import { connectWorkloadApi } from './rpc.ts';
import { type TroubleState, Watch, type WatchOptions } from './watch.ts';
import {
  readX509Bundles,
  readX509Update,
  type X509BundlesUpdate,
  type X509Update,
} from './x509-update.ts';

/** What a process may tell about its identity. Never holds key material. */
export type X509SourceState =
  /** A whole new set is in use. */
  | {
      readonly kind: 'ready';
      readonly id: SpiffeId;
      readonly serial: string;
      readonly notAfter: Date;
    }
  | TroubleState;

export interface X509SourceOptions extends WatchOptions {
  /** Absolute path of the socket, or a URI as in `SPIFFE_ENDPOINT_SOCKET`. */
  readonly socketPath: string;
  /** When given, an SVID of another trust domain is discarded. */
  readonly trustDomain?: string;
  /**
   * Which of several identities is the default one; the first unless it is said. What it returns
   * `undefined` for leaves the first.
   */
  readonly pick?: (svids: readonly [X509Svid, ...X509Svid[]]) => X509Svid | undefined;
  readonly onState?: (state: X509SourceState) => void;
}

/** A source that knows all identities of its process. */
export interface X509WorkloadSource extends X509Source {
  /** In the server's order, one per hint. Throws as `svid` does. */
  svids(): readonly [X509Svid, ...X509Svid[]];
}

/**
 * Opens a live view of the caller's X.509-SVIDs and bundles, and resolves with the first set.
 * While it is denied or unavailable it waits and keeps trying (Workload API 4.2, Workload
 * Endpoint 6); `onState` says which.
 * @throws Error when aborted before the first set, or when no retry can help.
 */
export async function openX509Source(options: X509SourceOptions): Promise<X509WorkloadSource> {
  const { trustDomain, pick } = options;
  const api = connectWorkloadApi(options.socketPath);
  const watch = new Watch<X509SVIDResponse, X509Update, X509SourceState>(
    {
      what: 'X.509-SVID',
      open: (signal) => api.x509Svids(signal),
      read: (message) => readX509Update(message, trustDomain),
      ready: ({ svids }) => {
        const { id, serial, notAfter } = pick?.(svids) ?? svids[0];
        return { kind: 'ready', id, serial, notAfter };
      },
      onState: options.onState,
    },
    options,
  );
  watch.onClosed(() => api.close());
  await opened(watch);
  const svids = () => {
    const current = watch.current();
    if (current === undefined) throw new Error(`no X.509-SVID: ${watch.missing()}`);
    return current.svids;
  };
  return {
    svids,
    svid(hint) {
      const all = svids();
      const hinted = hint === undefined ? undefined : all.find((svid) => svid.hint === hint);
      return hinted ?? pick?.(all) ?? all[0];
    },
    bundles: () => watch.current()?.bundles ?? new Map(),
    onUpdate: (listener) => watch.onUpdate(listener),
    close: () => watch.close(),
  };
}

export interface X509BundleSourceOptions extends WatchOptions {
  readonly socketPath: string;
  readonly onState?: (state: BundleSourceState) => void;
}

export type BundleSourceState =
  | { readonly kind: 'ready'; readonly trustDomains: readonly string[] }
  | TroubleState;

/** A live view of X.509 bundles alone, for who validates and has no need of an SVID. */
export interface X509BundleSource {
  bundles(): BundleSet;
  onUpdate(listener: () => void): () => void;
  close(): void;
}

/** As `openX509Source`, for bundles alone (Workload API 5.2.2). */
export async function openX509BundleSource(
  options: X509BundleSourceOptions,
): Promise<X509BundleSource> {
  const api = connectWorkloadApi(options.socketPath);
  const watch = new Watch<X509BundlesResponse, X509BundlesUpdate, BundleSourceState>(
    {
      what: 'X.509 bundle',
      open: (signal) => api.x509Bundles(signal),
      read: readX509Bundles,
      ready: ({ bundles }) => ({ kind: 'ready', trustDomains: [...bundles.keys()] }),
      onState: options.onState,
    },
    options,
  );
  watch.onClosed(() => api.close());
  await opened(watch);
  return {
    bundles: () => watch.current()?.bundles ?? new Map(),
    onUpdate: (listener) => watch.onUpdate(listener),
    close: () => watch.close(),
  };
}

/** Waits for the first state; a watch that never has one leaves nothing behind. */
export async function opened(watch: Pick<Watch<never, never, never>, 'first' | 'close'>) {
  try {
    await watch.first();
  } catch (error) {
    watch.close();
    throw error;
  }
}
