import type { Member } from '#bus/directory.ts';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import type { StoredImage } from '#runtime/images/store.ts';
import type { IssuerLink } from '#runtime/launcher/issuer-link.ts';
import type { Supervisor } from '#runtime/supervisor/supervisor.ts';
import { registrations } from '#runtime/swarm-file/entries.ts';
import { inputFile, withInput } from '#runtime/swarm-file/input.ts';
import type { AgentSpec, Swarm } from '#runtime/swarm-file/resolve.ts';
import { nearest } from '#runtime/swarm-file/suggest.ts';
import { imageOf } from './images.ts';

/** What is rolled out to one agent; what is not named stays as it is. */
export interface Rollout {
  /** Folder of an image of the agent's own role that CI has signed. */
  readonly imageFolder?: string;
  /** Another file for a sensor; `follow` reads on at its end, NDJSON only. */
  readonly input?: { readonly path: string; readonly follow?: boolean };
}

/** What runs now, in words for a person and for a program. */
export interface RolledOut {
  readonly agent: string;
  readonly pid: number;
  readonly image: string;
}

/** What each member runs and reads: as the swarm was started, until something else is rolled out. */
export interface Rollouts {
  image(member: Member): StoredImage | undefined;
  /** The one file that its process may read beside the store. */
  file(member: Member): string | undefined;
  /** The swarm with the agents' present configuration. */
  swarm(): Swarm;
  /** Registration entries: each names the digest of the image that its member is to run. */
  entries(): ReturnType<typeof registrations>;
  set(id: string, change: Partial<Held>): void;
  /** What was rolled out to it; absent when it runs what it was started with. */
  get(id: string): Partial<Held> | undefined;
  reset(id: string, held: Partial<Held> | undefined): void;
}

interface Held {
  readonly image: StoredImage;
  readonly file: string;
  readonly config: unknown;
}

export function createRollouts(started: {
  readonly swarm: Swarm;
  readonly images: ReadonlyMap<string, StoredImage>;
  readonly inputs: ReadonlyMap<string, string>;
}): Rollouts {
  const { swarm, images, inputs } = started;
  const changed = new Map<string, Partial<Held>>();
  const image = (member: Member): StoredImage | undefined =>
    changed.get(member.id)?.image ?? images.get(imageOf(member));
  const present = (agent: AgentSpec): AgentSpec => {
    const config = changed.get(agent.member.id)?.config;
    return config === undefined ? agent : { ...agent, config };
  };
  return {
    image,
    file: (member) => changed.get(member.id)?.file ?? inputs.get(member.id),
    swarm: () => ({ ...swarm, agents: swarm.agents.map(present) }),
    entries: () => {
      const byId = new Map(swarm.members.map((member) => [member.id as string, member]));
      return registrations(swarm).map((entry) => {
        const member = byId.get(entry.spiffe_id);
        const stored = member === undefined ? undefined : image(member);
        if (stored === undefined || !stored.verified) return entry;
        const digest = { type: 'swarm', value: `image_digest:${stored.reference.digest}` };
        return { ...entry, selectors: [...entry.selectors, digest] };
      });
    },
    set: (id, change) => changed.set(id, { ...changed.get(id), ...change }),
    get: (id) => changed.get(id),
    reset: (id, held) => {
      if (held === undefined) changed.delete(id);
      else changed.set(id, held);
    },
  };
}

export interface AgentReplacer {
  /** Rolls out; resolves when the agent's next life is ready and attested, or is as it was before. */
  replace(agent: string, rollout: Rollout): Promise<Outcome<RolledOut>>;
  /** Back to what the swarm was started with; at once when the agent runs it. */
  rollback(agent: string): Promise<Outcome<RolledOut>>;
}

export interface ReplacerOptions {
  readonly rollouts: Rollouts;
  readonly supervisor: Supervisor;
  readonly issuer: Pick<IssuerLink, 'setEntries'>;
  /** Takes an image into the run's store, where its signature is verified. */
  readonly store: (folder: string) => Promise<Outcome<StoredImage>>;
}

/**
 * Rolls out to one agent while the swarm runs. The issuer's entry gets the new digest after the old
 * process has ended and before the new one begins, so that neither is ever taken for the other; no
 * entry of another member changes.
 */
export function createReplacer(options: ReplacerOptions): AgentReplacer {
  const { rollouts, supervisor } = options;

  function agentOf(name: string): Outcome<Member> {
    const members = rollouts.swarm().agents.map(({ member }) => member);
    const found = members.filter((one) => one.token === name || one.name === name);
    const [only] = found;
    if (only !== undefined && found.length === 1) return accept(only);
    const tokens = (found.length > 1 ? found : members).map(({ token }) => token);
    const near = nearest(name, tokens);
    const hint = near === undefined ? tokens.join(', ') : `did you mean ${near}?`;
    return refuse('AGENT_UNKNOWN', `${found.length || 'no'} agents are named "${name}": ${hint}`);
  }

  /** What is asked for, checked before anything is ended. */
  async function changeOf(member: Member, rollout: Rollout): Promise<Outcome<Partial<Held>>> {
    const { imageFolder, input } = rollout;
    let change: Partial<Held> = {};
    if (imageFolder !== undefined) {
      const stored = await options.store(imageFolder);
      if (!stored.ok) return stored;
      const image = stored.value;
      if (!image.verified) {
        return refuse('ROLLOUT_UNSIGNED', `${imageFolder}: the image is not signed by CI`);
      }
      if (image.manifest.name !== imageOf(member)) {
        const is = `is an image of ${image.manifest.name}`;
        return refuse('ROLLOUT_OTHER_ROLE', `${imageFolder}: ${is}, not of ${imageOf(member)}`);
      }
      change = { ...change, image };
    }
    if (input !== undefined) {
      const file = await inputFile(input.path);
      if (!file.ok) return file;
      const follow = input.follow === true;
      const swarm = withInput(rollouts.swarm(), member.token, file.value, { follow });
      if (!swarm.ok) return swarm;
      const config = swarm.value.agents.find((one) => one.member.id === member.id)?.config;
      change = { ...change, file: file.value, config };
    }
    return accept(change);
  }

  /** The next life, with what is set by then; when it does not come up, the one before again. */
  async function apply(member: Member, change: () => void): Promise<Outcome<RolledOut>> {
    const before = rollouts.get(member.id);
    const restart = (set: () => void): Promise<Outcome<unknown>> =>
      supervisor.restart(member.token, () => {
        set();
        return options.issuer.setEntries(rollouts.entries());
      });
    const begun = await restart(change);
    const life = supervisor.process(member.token);
    const why = begun.ok ? life?.quarantine() : begun.detail;
    if (begun.ok && life !== undefined && why === undefined) {
      const image = rollouts.image(member)?.reference.digest ?? '';
      return accept({ agent: member.token, pid: life.pid, image });
    }
    await restart(() => rollouts.reset(member.id, before));
    return refuse('ROLLOUT_FAILED', `${member.token}: ${why ?? 'has ended'}; runs as before`);
  }

  return {
    replace: async (agent, rollout) => {
      const member = agentOf(agent);
      if (!member.ok) return member;
      const change = await changeOf(member.value, rollout);
      if (!change.ok) return change;
      return apply(member.value, () => rollouts.set(member.value.id, change.value));
    },
    rollback: async (agent) => {
      const member = agentOf(agent);
      if (!member.ok) return member;
      const { id, token } = member.value;
      const life = supervisor.process(token);
      if (rollouts.get(id) === undefined && life !== undefined && life.quarantine() === undefined) {
        const image = rollouts.image(member.value)?.reference.digest ?? '';
        return accept({ agent: token, pid: life.pid, image });
      }
      return apply(member.value, () => rollouts.reset(id, undefined));
    },
  };
}
