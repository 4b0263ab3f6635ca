import { chmod, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Member } from '#bus/directory.ts';
import type { Outcome } from '#identity/outcome.ts';
import type { Instant, OpenFoothold, Reverted } from '#scenarios/arena.ts';
import type { FeedRow, Scenario } from '#scenarios/scenario.ts';
import type { Control } from '../wiring/controls.ts';
import { messageOf } from '../wiring/process.ts';
import type { Rollout } from '../wiring/rollout.ts';
import { type AttackProcess, startAttack } from './attack-process.ts';
import { feedLine } from './hold/feed.ts';
import { implantedImage } from './implant/images.ts';
import { ATTACKER_SOCKET } from './implant/leak.ts';
import { within } from './within.ts';

/** What a foothold needs of the swarm that it is opened in: the operator's means, and a look. */
export interface Ground {
  readonly wiring: 'shared keys' | readonly Control[];
  /** Folder of the run's sockets. */
  readonly socketFolder: string;
  readonly runPath: string;
  /** Agents that read a source. */
  readonly sensors: readonly Member[];
  readonly members: readonly Member[];
  replace(agent: string, rollout: Rollout): Promise<Outcome<unknown>>;
  rollback(agent: string): Promise<Outcome<unknown>>;
  /** Resolves with a reading of that agent's present process, which began after `since`. */
  flows(agent: Member, since: Instant, signal: AbortSignal): Promise<unknown>;
}

const HOLD_MS = 15_000;
const FLOW_MS = 15_000;
/** Readings that the detector takes for the road's habit. */
const HABIT = 160;
const STEP_MS = 300_000;

/** What the feed of a quiet road had so far: its owner's rows, before anybody else adds any. */
function habit(): readonly FeedRow[] {
  const end = Date.now() - 3_600_000 * 24;
  return Array.from({ length: HABIT }, (_, index) => ({
    at: new Date(end - (HABIT - index) * STEP_MS).toISOString(),
    value: 60 + ((index * 7) % 5) / 2 - 1,
  }));
}

/** It cannot be had; what was changed for it is put back, or is not. */
export class FootholdRefused extends Error {
  readonly reverted: Reverted;
  constructor(why: string, reverted: Reverted) {
    super(why);
    this.reverted = reverted;
  }
}

/** Opens a scenario's foothold in a running swarm. @throws FootholdRefused saying why not. */
export async function openFoothold(
  ground: Ground,
  scenario: Scenario,
  signal: AbortSignal,
): Promise<OpenFoothold> {
  const { kind, role } = scenario.foothold;
  const able = ground.members.filter((one) => one.role === role);
  // The last one: the first is what people look at.
  const holder = (kind === 'text in a reading' ? ground.sensors : able).at(-1);
  if (holder === undefined) throw new Error(`this swarm has no agent of the role ${role}`);
  const attack = await startAttack();
  const feed = join(ground.runPath, `feed-${holder.token}.ndjson`);
  const opened: { replaced: boolean } = { replaced: false };
  const revert = (): Promise<Reverted> => putBack(ground, holder, attack, feed, opened.replaced);
  try {
    const holds =
      kind === 'text in a reading'
        ? ({ kind, feed } as const)
        : ({ kind, socket: join(ground.socketFolder, ATTACKER_SOCKET) } as const);
    let rollout: Rollout;
    if (kind === 'text in a reading') {
      await writeFile(feed, habit().map(feedLine).join(''));
      // The sensor's process may have a uid of its own.
      await chmod(feed, 0o644);
      rollout = { input: { path: feed, follow: true } };
    } else {
      rollout = { imageFolder: await implantedImage(holder.role, ground.wiring) };
    }
    if (signal.aborted) throw new Error('interrupted');
    opened.replaced = true;
    const [replaced] = await Promise.all([
      ground.replace(holder.token, rollout),
      attack.begin({ type: 'begin', scenario: scenario.id, holds }),
    ]);
    if (!replaced.ok) throw new Error(replaced.detail);
    const held = await within(HOLD_MS, signal, () => attack.holding().then(() => true));
    if (held !== true) throw new Error(`the foothold in ${holder.token} gave nothing`);
  } catch (error) {
    throw new FootholdRefused(messageOf(error), await revert());
  }
  return { holder, control: (at) => attack.control(at), attack: () => attack.attack(), revert };
}

/** Ends the attack's process, rolls back, and looks whether the agent reads and is heard again. */
async function putBack(
  ground: Ground,
  holder: Member,
  attack: AttackProcess,
  feed: string,
  replaced: boolean,
): Promise<Reverted> {
  await attack.end();
  await rm(join(ground.socketFolder, ATTACKER_SOCKET), { force: true });
  if (!replaced) return { ok: true, detail: `${holder.token} was not touched` };
  const since = process.hrtime.bigint();
  const back = await ground.rollback(holder.token);
  await rm(feed, { force: true });
  if (!back.ok) return { ok: false, detail: `${holder.token}: ${back.detail}` };
  if (!ground.sensors.some(({ id }) => id === holder.id)) {
    return { ok: true, detail: `${holder.token} runs its own image again` };
  }
  const never = new AbortController().signal;
  const heard = await within(FLOW_MS, never, (limit) =>
    ground.flows(holder, since, limit).then(() => true),
  );
  return heard === true
    ? { ok: true, detail: `${holder.token} runs its own image again, readings flow` }
    : { ok: false, detail: `${holder.token} was rolled back, and no reading of it has come since` };
}
