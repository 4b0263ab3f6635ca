import { join } from 'node:path';
import { z } from 'zod';
import type { Member } from '#bus/directory.ts';
import type { LedgerEntry } from '#custody/ledger/entry.ts';
import { accept, type Outcome } from '#identity/outcome.ts';
import { spiffeId } from '#identity/spiffe-id.ts';
import { askControl, type ControlAddress } from '#runtime/control/client.ts';
import type { Arena, Instant } from '#scenarios/arena.ts';
import type { Refused } from '#scenarios/scenario.ts';
import type { Named, RefusalSeen } from '#scenarios/verdict.ts';
import { UserError } from '../../output.ts';
import { refusalOf } from '../../story/entries.ts';
import { failureOf, readAnswer } from '../../story/payload.ts';
import type { Control } from '../../wiring/controls.ts';
import { observeWorksState } from '../../wiring/works-observer.ts';
import { controlOf } from '../controls.ts';
import { openFoothold } from '../foothold.ts';
import { denialOf, namedByAncestry, orderAfter, readingAt } from './evidence.ts';
import { watchSwarm } from './watch.ts';

const told = z.object({
  observe: z.string(),
  agents: z.array(
    z.object({
      id: z.string(),
      token: z.string(),
      role: z.string(),
      district: z.string().optional(),
      name: z.string(),
      sensor: z.boolean(),
    }),
  ),
});

const spanned = z.object({ value: z.object({ trace: z.string(), link: z.string().optional() }) });

export interface SwarmArenaOptions {
  readonly address: ControlAddress;
  /** The run's folder. */
  readonly runPath: string;
  readonly off: readonly Control[];
  /** Ends a swarm that was started for this. */
  readonly end?: () => Promise<void>;
}

export function arenaName(off: readonly string[]): string {
  return off.length === 0 ? 'this swarm' : `this swarm without ${off.join(', ')}`;
}

/** A running swarm, by the operator's control socket and the city works' own. */
export async function swarmArena(options: SwarmArenaOptions): Promise<Arena> {
  const { address, runPath, off } = options;
  const answer = await askControl(address, 'trust');
  if (!answer.ok) throw new UserError(answer.detail);
  const parsed = told.safeParse(answer.value);
  if (!parsed.success) throw new UserError('the swarm runs another version');
  const { agents, observe } = parsed.data;
  const members = agents.map(
    ({ id, token, role, district, name }): Member => ({
      id: spiffeId(id),
      token,
      kind: 'agent',
      role,
      name,
      ...(district !== undefined && { district }),
    }),
  );
  const watch = await watchSwarm(address);
  const lease = new AbortController();
  const idOf = (presenter: string): string =>
    members.find(({ token }) => token === presenter)?.id ?? presenter;
  const works = () => observeWorksState(observe);
  const ms = (at: Instant, since: Instant): number => Number(at - since) / 1e6;

  function seen(
    code: string,
    afterMs: number,
    named: Named | undefined,
    entry: LedgerEntry | undefined,
    span: string | undefined,
  ): RefusalSeen {
    const { letter: control, title } = controlOf(code);
    const name = entry && ('record' in entry ? entry.record.id : `@${entry.index}`);
    return { code, control, title, named, afterMs, entry: name, span };
  }

  /**
   * Where what was refused can be looked at: Jaeger's page, else the trace in the run's file. What the
   * broker refuses no process has a span of.
   */
  async function spanOf(record: string | undefined): Promise<string | undefined> {
    if (record === undefined) return undefined;
    const answer = spanned.safeParse(await askControl(address, 'span', { id: record }));
    return answer.data?.value.link ?? answer.data?.value.trace;
  }

  /** By the broker where it pins subjects; where it does not, by the signature, if one was proven. */
  function namedBy(refusal: { presented_by: string; signed_by?: string }): Named | undefined {
    if (!off.includes('B')) return { id: idOf(refusal.presented_by), by: 'the broker' };
    const { signed_by: signer } = refusal;
    return signer === undefined ? undefined : { id: signer, by: 'its signature' };
  }

  async function refusedOn(subject: string, since: Promise<Instant>, signal: AbortSignal) {
    const found = await watch.first((news) => {
      if (news.kind === 'early') {
        return news.refused.subject === subject ? { ...news, is: news.refused } : undefined;
      }
      const refusal = refusalOf(news.entry);
      return refusal?.subject === subject ? { ...news, is: refusal } : undefined;
    }, signal);
    const { code, presented_by: presenter } = found.is;
    // The evidence is what the ledger holds, not what was told ahead of it.
    const stands = await watch.first((news) => {
      const refusal = news.kind === 'entry' ? refusalOf(news.entry) : undefined;
      const same = refusal?.code === code && refusal.presented_by === presenter;
      return same && news.kind === 'entry' ? { entry: news.entry, refusal } : undefined;
    }, signal);
    const span = await spanOf(stands.refusal.record);
    const named = namedBy(stands.refusal);
    return seen(code, ms(found.at, await since), named, stands.entry, span);
  }

  async function refusedTool(tool: string, since: Promise<Instant>, signal: AbortSignal) {
    const { at, entry, act } = await watch.first(denialOf(watch, tool), signal);
    const answered = entry.payload && readAnswer(entry.payload);
    const code = (answered && failureOf(answered)?.code) ?? 'POLICY_DENIED';
    const span = await spanOf(act.record.id);
    return seen(
      code,
      ms(at, await since),
      namedByAncestry(watch.ancestry(act.record.id)),
      entry,
      span,
    );
  }

  return {
    name: arenaName(off),
    off,
    members,
    works,
    passed: async (what, at, signal) => {
      const found = await watch.first(
        what === 'recorded' ? readingAt(at) : orderAfter(watch, at),
        signal,
      );
      const id = found.entry.record.id;
      if (what === 'recorded') return { at: found.at, text: `reading ${id.slice(0, 8)} on record` };
      await carriedOut(id, works, signal);
      return { at: process.hrtime.bigint(), text: `order ${id.slice(0, 8)} carried out` };
    },
    refused: (what: Refused, since, signal) =>
      what.by === 'subject'
        ? refusedOn(what.subject(members), since, signal)
        : refusedTool(what.tool, since, signal),
    open: (scenario, signal) =>
      openFoothold(
        {
          wiring: off,
          socketFolder: join(address.socketPath, '..'),
          runPath,
          sensors: members.filter((_member, index) => agents[index]?.sensor === true),
          members,
          replace: (agent, rollout) => leased(address, { agent, ...rollout }, lease.signal),
          rollback: (agent) => askControl(address, 'rollback', { agent }),
          flows: (agent, since, limit) => {
            // A process has a session of its own: what its predecessor said does not count.
            const before = new Set<string>();
            return watch.first((news) => {
              if (news.kind !== 'entry' || news.entry.type !== 'record') return undefined;
              const { iss, knd, sid } = news.entry.record.claims;
              if (iss !== agent.id || knd !== 'root') return undefined;
              if (news.at <= since) before.add(sid);
              return before.has(sid) ? undefined : true;
            }, limit);
          },
        },
        scenario,
        signal,
      ),
    close: async () => {
      lease.abort();
      watch.close();
      await options.end?.();
    },
  };
}

/** Rolls out for as long as this process lives: killed at any moment, it leaves nothing behind. */
function leased(
  address: ControlAddress,
  rollout: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
): Promise<Outcome<unknown>> {
  const { promise, resolve } = Promise.withResolvers<Outcome<unknown>>();
  const part = (value: unknown): void => resolve(accept(value));
  void askControl(address, 'replace', { ...rollout, lease: true }, part, signal).then(resolve);
  return promise;
}

const LOOK_MS = 20;

/** Resolves when the works, seen from outside, have carried out this very order. */
export async function carriedOut(
  order: string,
  works: Arena['works'],
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const seen = await works().catch(() => undefined);
    if (seen?.orders.some((one) => one.order === order)) return;
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}
