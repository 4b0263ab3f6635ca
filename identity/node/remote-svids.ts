import { isDeepStrictEqual } from 'node:util';
import type { IssuerCode } from '../issuer/codes.ts';
import { renewal } from '../issuer/commit.ts';
import type { EntitlementOptions } from '../issuer/entitlement.ts';
import type { RegistrationEntry } from '../issuer/entry.ts';
import type { HeldSvid } from '../issuer/svids.ts';
import { accept, type Outcome, refuse } from '../outcome.ts';
import type { X509Svid } from '../svid.ts';
import type { NodeOutcome } from './client.ts';
import { MAX_SVIDS_PER_REQUEST } from './protocol.ts';

/** SVIDs of the workloads of a node: kept here, made by the issuer over keys that are made here. */
export type RemoteSvids = EntitlementOptions['svids'] & {
  /** Forgets what was issued for entries that are gone. */
  withdraw(gone: readonly RegistrationEntry[]): void;
  /** Drops what has expired. */
  sweep(): void;
};

export interface RemoteSvidsOptions {
  readonly clock: () => Date;
  readonly random: (size: number) => Uint8Array;
  readonly svids: (entryIds: readonly string[]) => NodeOutcome<ReadonlyMap<string, X509Svid>>;
}

/**
 * Whether an entry says what it said. Its revision alone does not: one that was removed and added anew,
 * with the same id and other content, begins with the first.
 */
export function isSameEntry(one: RegistrationEntry, other: RegistrationEntry): boolean {
  return one === other || isDeepStrictEqual(one, other);
}

/** When an issuer that could not be reached is asked for a renewal again. */
const AGAIN_MS = 5000;
/** What a workload learns: the issuer's own refusal, or that it is out of reach. */
export function toWorkload(code: string, detail: string) {
  return code === 'ENTRY_UNKNOWN'
    ? refuse('NO_ENTRY', detail)
    : refuse('NODE_OFFLINE', `${code}: ${detail}`);
}

export function createRemoteSvids(options: RemoteSvidsOptions): RemoteSvids {
  const { clock, random } = options;
  const held = new Map<string, Map<string, HeldSvid>>();
  /** By process: two streams of one wait for one SVID. */
  const asking = new Map<string, Promise<unknown>>();

  const usable = (svid: HeldSvid | undefined, entry: RegistrationEntry): svid is HeldSvid =>
    svid !== undefined && svid.renewAt > clock().getTime() && isSameEntry(svid.entry, entry);

  const asSvid = (entry: RegistrationEntry, svid: X509Svid): HeldSvid => {
    const { id, serial, notAfter, certificates } = svid;
    const now = clock();
    // What ends with its entry is not renewed: each time half of what is left, without an end.
    const last = entry.expires_at !== 0 && entry.expires_at * 1000 <= notAfter.getTime() + 1000;
    return {
      entry,
      leaf: { id, serial, notAfter, certificate: Buffer.concat(certificates) },
      key: svid.key.export({ type: 'pkcs8', format: 'der' }),
      renewAt: last ? notAfter.getTime() : renewal(now, notAfter, random(2)),
    };
  };

  /** One entry that is gone must not cost the others: then each is asked for by itself. */
  const fetch = async (entries: readonly RegistrationEntry[]): Promise<Outcome<HeldSvid[]>> => {
    const answer = await options.svids(entries.map(({ id }) => id));
    if (answer.ok) {
      return accept(
        entries.flatMap((entry) => {
          const svid = answer.value.get(entry.id);
          return svid === undefined ? [] : [asSvid(entry, svid)];
        }),
      );
    }
    if (answer.code !== 'ENTRY_UNKNOWN' || entries.length === 1) return answer;
    const found: HeldSvid[] = [];
    for (const entry of entries) {
      const one = await fetch([entry]);
      if (one.ok) found.push(...one.value);
      else if (one.code !== 'ENTRY_UNKNOWN') return one;
    }
    return accept(found);
  };

  const obtain = async (process: string, missing: readonly RegistrationEntry[]) => {
    const mine = held.get(process) ?? new Map<string, HeldSvid>();
    held.set(process, mine);
    for (let at = 0; at < missing.length; at += MAX_SVIDS_PER_REQUEST) {
      const some = missing.slice(at, at + MAX_SVIDS_PER_REQUEST);
      const fetched = await fetch(some);
      if (fetched.ok) {
        for (const svid of fetched.value) mine.set(svid.entry.id, svid);
        continue;
      }
      for (const entry of some) {
        // What it has is good to its end, though the issuer is away.
        const old = mine.get(entry.id);
        if (old === undefined || old.leaf.notAfter <= clock()) return fetched;
        mine.set(entry.id, { ...old, entry, renewAt: clock().getTime() + AGAIN_MS });
      }
    }
    return undefined;
  };

  const forProcess = async (
    process: string,
    entries: readonly RegistrationEntry[],
  ): Promise<Outcome<readonly HeldSvid[], IssuerCode>> => {
    while (asking.has(process)) await asking.get(process);
    const missing = entries.filter((entry) => !usable(held.get(process)?.get(entry.id), entry));
    const asked = obtain(process, missing).finally(() => asking.delete(process));
    asking.set(process, asked);
    const failed = await asked;
    const mine = held.get(process);
    const found = entries.flatMap((entry) => mine?.get(entry.id) ?? []);
    if (failed !== undefined && !failed.ok) return toWorkload(failed.code, failed.detail);
    return found.length === 0 ? refuse('NO_ENTRY', 'the entries are no more') : accept(found);
  };

  return {
    forProcess: (process, entries) => {
      const mine = held.get(process);
      const ready = entries.flatMap((entry) => {
        const svid = mine?.get(entry.id);
        return usable(svid, entry) ? [svid] : [];
      });
      return ready.length === entries.length ? accept(ready) : forProcess(process, entries);
    },
    withdraw: (gone) => {
      for (const mine of held.values()) for (const { id } of gone) mine.delete(id);
    },
    sweep: () => {
      const now = clock();
      for (const [process, mine] of held) {
        if ([...mine.values()].every(({ leaf }) => leaf.notAfter <= now)) held.delete(process);
      }
    },
  };
}
