import type { IssuerCode } from '../issuer/codes.ts';
import type { RegistrationEntry } from '../issuer/entry.ts';
import type { Audience, IssuedJwt, JwtSvids } from '../issuer/jwt-svids.ts';
import { accept, type Outcome, refuse } from '../outcome.ts';
import type { nodeToken } from './client.ts';
import { toWorkload } from './remote-svids.ts';

export interface RemoteTokensOptions {
  readonly clock: () => Date;
  readonly token: (entry: RegistrationEntry, audience: Audience) => ReturnType<typeof nodeToken>;
}

/** Tokens kept of one process; one that asks for ever new audiences loses its own alone. */
const TOKENS_KEPT = 256;

/** Tokens of the workloads of a node, kept until half of their life is over. */
export function createRemoteTokens(
  options: RemoteTokensOptions,
): Pick<JwtSvids, 'forProcess' | 'withdraw' | 'sweep'> {
  interface Held extends IssuedJwt {
    readonly renewAt: number;
    readonly notAfter: number;
  }
  const { clock } = options;
  const held = new Map<string, Map<string, Held>>();

  const one = async (
    mine: Map<string, Held>,
    entry: RegistrationEntry,
    audience: Audience,
  ): Promise<Outcome<IssuedJwt, IssuerCode>> => {
    const key = JSON.stringify([entry.id, entry.revision_number, audience]);
    const old = mine.get(key);
    const now = clock().getTime();
    if (old !== undefined && old.renewAt > now && !entry.jwt_svid_include_jti) return accept(old);
    const made = await options.token(entry, audience);
    if (!made.ok) {
      const away = made.code === 'NODE_UNREACHABLE' || made.code === 'NODE_UNVERIFIED';
      const good = old !== undefined && old.notAfter > now && away;
      if (good && !entry.jwt_svid_include_jti) return accept(old);
      return made.code === 'TOKENS_TOO_MANY'
        ? refuse(made.code, made.detail)
        : toWorkload(made.code, made.detail);
    }
    const { token, issuedAt, expiresAt } = made.value;
    const [begin, notAfter] = [issuedAt.getTime(), expiresAt.getTime()];
    mine.delete(key);
    mine.set(key, { entry, token, notAfter, renewAt: begin + (notAfter - begin) / 2 });
    const [oldest] = mine.keys();
    if (mine.size > TOKENS_KEPT && oldest !== undefined) mine.delete(oldest);
    return accept({ entry, token });
  };

  return {
    forProcess: async (process, entries, audience) => {
      const mine = held.get(process) ?? new Map<string, Held>();
      held.set(process, mine);
      const made = await Promise.all(entries.map((entry) => one(mine, entry, audience)));
      const tokens: IssuedJwt[] = [];
      for (const outcome of made) {
        if (outcome.ok) tokens.push(outcome.value);
        // One that was just taken away; whoever is left is given.
        else if (outcome.code !== 'NO_ENTRY') return outcome;
      }
      return tokens.length === 0
        ? refuse('NOT_ENTITLED', 'the entries are no more')
        : accept(tokens);
    },
    withdraw: (gone) => {
      const ids = new Set(gone.map(({ id }) => id));
      for (const mine of held.values()) {
        for (const [key, { entry }] of mine) if (ids.has(entry.id)) mine.delete(key);
      }
    },
    sweep: () => {
      const now = clock().getTime();
      for (const [process, mine] of held) {
        for (const [key, { notAfter }] of mine) if (notAfter <= now) mine.delete(key);
        if (mine.size === 0) held.delete(process);
      }
    },
  };
}
