import { createHash } from 'node:crypto';
import { signJwtSvid } from '../jwt/sign.ts';
import { accept, type Outcome, refuse } from '../outcome.ts';
import type { IssuerCode } from './codes.ts';
import { type Commit, groupCommit, renewal } from './commit.ts';
import { type RegistrationEntry, type Selector, selectorText } from './entry.ts';
import type { JwtAuthorities } from './jwt-authorities.ts';
import type { Store } from './store.ts';
import { storeRefusal } from './store-error.ts';
import { LOGGED_SELECTORS, secondsLeft } from './svids.ts';

export type Audience = readonly [string, ...string[]];

/** A token of one process for one audience. */
export interface IssuedJwt {
  readonly entry: RegistrationEntry;
  /** JWS, compact. A bearer token: never logged. */
  readonly token: string;
}

export interface JwtSvids {
  /**
   * Tokens of a process for these entries and this audience: the ones it has until half of their
   * life is over, as SPIRE's agent keeps them, or new ones.
   */
  forProcess(
    process: string,
    entries: readonly RegistrationEntry[],
    audience: Audience,
    selectors: readonly Selector[],
  ): Promise<Outcome<readonly IssuedJwt[], IssuerCode>>;
  forget(process: string): void;
  /** Forgets what was issued for entries that are gone: one that comes back issues anew. */
  withdraw(gone: readonly RegistrationEntry[]): void;
  /** Drops what has expired. */
  sweep(): void;
}

export interface JwtSvidsOptions {
  readonly store: Pick<Store, 'recordIssuances'>;
  readonly authorities: JwtAuthorities;
  readonly clock: () => Date;
  readonly random: (size: number) => Uint8Array;
}

/** Tokens kept per process; a process that asks for ever new audiences only loses its own. */
const KEPT = 256;
/** New tokens for one process in one minute: each is a row of a log that nothing shortens. */
export const TOKENS_PER_MINUTE = 600;
const MINUTE_MS = 60_000;

interface Held extends IssuedJwt {
  readonly authority: string;
  readonly renewAt: number;
  readonly notAfter: number;
  readonly durable: Promise<void>;
}

interface Account {
  readonly tokens: Map<string, Held>;
  minute: number;
  made: number;
}

export function createJwtSvids(options: JwtSvidsOptions): JwtSvids {
  const { store, authorities, clock, random } = options;
  const accounts = new Map<string, Account>();
  const commit: Commit = groupCommit(store.recordIssuances);

  const fresh = (
    entry: RegistrationEntry,
    audience: Audience,
    selectors: readonly Selector[],
  ): Outcome<Held, IssuerCode> => {
    const authority = authorities.active();
    const issuedAt = clock();
    const end = Math.min(
      issuedAt.getTime() + Math.min(entry.jwt_svid_ttl, secondsLeft(entry, issuedAt)) * 1000,
      authority.notAfter.getTime(),
    );
    const [iat, exp] = [issuedAt.getTime(), end].map((ms) => Math.floor(ms / 1000)) as [
      number,
      number,
    ];
    if (exp <= iat) return refuse('AUTHORITY_EXPIRED', 'no life is left for a token');
    const notAfter = new Date(exp * 1000);
    const token = signJwtSvid({
      id: entry.spiffe_id,
      audience,
      key: authority.key,
      kid: authority.kid,
      issuedAt,
      notAfter,
      ...(entry.jwt_svid_include_jti && { jti: Buffer.from(random(16)).toString('hex') }),
    });
    const durable = commit({
      kind: 'jwt',
      spiffe_id: entry.spiffe_id,
      serial: '',
      thumbprint: createHash('sha256').update(token).digest('base64url'),
      audience,
      selectors: selectors.slice(0, LOGGED_SELECTORS).map(selectorText),
      entry_id: entry.id,
      authority_id: authority.kid,
      issued_at: iat,
      not_before: iat,
      not_after: exp,
    });
    const renewAt = renewal(issuedAt, notAfter, random(2));
    const times = { renewAt, notAfter: notAfter.getTime() };
    return accept({ entry, token, authority: authority.kid, ...times, durable });
  };

  const usable = (held: Held | undefined, entry: RegistrationEntry): held is Held =>
    held !== undefined &&
    !entry.jwt_svid_include_jti &&
    held.renewAt > clock().getTime() &&
    held.entry.revision_number === entry.revision_number &&
    held.authority === authorities.active().kid;

  const accountOf = (process: string): Account => {
    const found = accounts.get(process) ?? { tokens: new Map(), minute: 0, made: 0 };
    accounts.set(process, found);
    return found;
  };

  /** @returns whether one more may be made */
  const count = (account: Account): boolean => {
    const minute = Math.floor(clock().getTime() / MINUTE_MS);
    if (account.minute !== minute) {
      account.minute = minute;
      account.made = 0;
    }
    account.made += 1;
    return account.made <= TOKENS_PER_MINUTE;
  };

  const keep = ({ tokens }: Account, key: string, held: Held): void => {
    tokens.delete(key);
    tokens.set(key, held);
    const [oldest] = tokens.keys();
    if (tokens.size > KEPT && oldest !== undefined) tokens.delete(oldest);
  };

  return {
    forProcess: async (process, entries, audience, selectors) => {
      const account = accountOf(process);
      const result: Held[] = [];
      for (const entry of entries) {
        const key = JSON.stringify([entry.id, audience]);
        const old = account.tokens.get(key);
        if (usable(old, entry)) {
          result.push(old);
          continue;
        }
        if (!count(account)) {
          return refuse('TOKENS_TOO_MANY', `more than ${TOKENS_PER_MINUTE} new tokens a minute`);
        }
        const made = fresh(entry, audience, selectors);
        if (!made.ok) return made;
        keep(account, key, made.value);
        result.push(made.value);
      }
      try {
        await Promise.all(result.map((one) => one.durable));
      } catch (error) {
        account.tokens.clear();
        return storeRefusal(error);
      }
      return accept(result);
    },
    forget: (process) => {
      accounts.delete(process);
    },
    withdraw: (gone) => {
      if (gone.length === 0) return;
      const ids = new Set(gone.map(({ id }) => id));
      for (const { tokens } of accounts.values()) {
        for (const [key, { entry }] of tokens) if (ids.has(entry.id)) tokens.delete(key);
      }
    },
    sweep: () => {
      const now = clock().getTime();
      for (const [process, { tokens }] of accounts) {
        for (const [key, { notAfter }] of tokens) if (notAfter <= now) tokens.delete(key);
        if (tokens.size === 0) accounts.delete(process);
      }
    },
  };
}
