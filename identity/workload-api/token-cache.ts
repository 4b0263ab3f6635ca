import type { JwtSvid } from './jwt-update.ts';

/** SPIRE's agent keeps as many. */
const MAX_ENTRIES = 1_000;

interface Entry {
  readonly svids: readonly [JwtSvid, ...JwtSvid[]];
  /** Milliseconds since the epoch: half of the life of the token that ends first. */
  readonly renewAt: number;
  readonly endsAt: number;
}

/** Tokens by what was asked for. Bounded: what was stored longest ago goes first. */
export class TokenCache {
  readonly #entries = new Map<string, Entry>();

  /** Tokens that have not ended; `fresh` says that they are in the first half of their life. */
  get(
    key: string,
    now: Date,
  ): { readonly svids: Entry['svids']; readonly fresh: boolean } | undefined {
    const entry = this.#entries.get(key);
    if (entry === undefined) return undefined;
    if (now.getTime() >= entry.endsAt) {
      this.#entries.delete(key);
      return undefined;
    }
    return { svids: entry.svids, fresh: now.getTime() < entry.renewAt };
  }

  /** Half of a life is counted from when it was issued, or was fetched where the token does not say. */
  put(key: string, svids: Entry['svids'], now: Date): void {
    const times = svids.map(({ issuedAt, expiresAt }) => {
      const begin = Math.min((issuedAt ?? now).getTime(), now.getTime());
      const end = expiresAt.getTime();
      return { renewAt: begin + (end - begin) / 2, end };
    });
    this.#entries.delete(key);
    this.#entries.set(key, {
      svids,
      renewAt: Math.min(...times.map(({ renewAt }) => renewAt)),
      endsAt: Math.min(...times.map(({ end }) => end)),
    });
    const [oldest] = this.#entries.keys();
    if (this.#entries.size > MAX_ENTRIES && oldest !== undefined) this.#entries.delete(oldest);
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }

  clear(): void {
    this.#entries.clear();
  }
}
