import type { Member } from '#bus/directory.ts';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import { type LaunchContext, launch } from '#runtime/launcher/launch.ts';
import type { NatsServer } from '#runtime/launcher/nats-server.ts';
import type { StartMessage } from '#runtime/process-protocol.ts';
import type { PlanEntry, ProcessPlan } from '#runtime/supervisor/plan.ts';
import { IMAGES, imageOf } from '../images.ts';
import type { Rollouts } from '../rollout.ts';
import { agentConfig, type StartContext, serviceConfig, startMessage } from '../start-messages.ts';

export interface SharedKeysContext extends StartContext {
  /** 256 bits, hex: the one key, of this run. */
  readonly key: string;
  readonly broker: NatsServer;
  readonly launcher: LaunchContext;
  readonly rollouts: Rollouts;
  readonly openLog: () => Promise<Outcome<unknown>>;
  readonly closeLog: () => Promise<void>;
}

/** Broker, log, then services and agents, last the sources. Nobody is attested, nobody issues. */
export function sharedKeysPlan(context: SharedKeysContext): PlanEntry[] {
  const { swarm } = context;
  const services = swarm.services.map(({ member }) => member);
  const isSource = (config: unknown): boolean => 'source' in Object(config);
  const sources = swarm.agents.filter(({ config }) => isSource(config));
  const others = swarm.agents.filter(({ config }) => !isSource(config));
  const first = [...services, ...others.map(({ member }) => member)].map(({ token }) => token);
  return [
    { kind: 'process', name: 'nats', after: [], start: () => context.broker.start() },
    { kind: 'step', name: 'log', after: ['nats'], run: context.openLog, undo: context.closeLog },
    ...services.map((member) =>
      memberPlan(context, member, ['log'], () =>
        told(
          context,
          member,
          serviceConfig(context, member),
          member.name === 'llm' && context.upstreamApiKey !== undefined
            ? { upstreamApiKey: context.upstreamApiKey }
            : {},
        ),
      ),
    ),
    ...[...others, ...sources].map(({ member, config }) =>
      memberPlan(context, member, isSource(config) ? ['log', ...first] : ['log'], () =>
        told(context, member, agentConfig(context.rollouts.swarm(), member)),
      ),
    ),
  ];
}

/** The start message that every wiring gives, with the key, and without what only identities need. */
function told(
  context: SharedKeysContext,
  member: Member,
  config: unknown,
  secrets: Readonly<Record<string, string>> = {},
): StartMessage {
  const { policy: _policy, brokerId: _brokerId, ...start } = startMessage(context, member, config);
  return { ...start, secrets: { ...secrets, apiKey: context.key } };
}

function memberPlan(
  context: SharedKeysContext,
  member: Member,
  after: readonly string[],
  start: () => StartMessage,
): ProcessPlan {
  const { rollouts } = context;
  return {
    kind: 'process',
    name: member.token,
    after,
    start: async (signal) => {
      const image = rollouts.image(member);
      const file = rollouts.file(member);
      if (image === undefined) return refuse('IMAGE_UNREADABLE', `no image ${imageOf(member)}`);
      const hardening = IMAGES[imageOf(member)] ?? 'sealed';
      const readFiles = file === undefined ? {} : { readFiles: [file] };
      const spec = { name: member.token, image, hardening, ...readFiles, start };
      return launch(spec, context.launcher, signal);
    },
    onReady: async () => accept({}),
  };
}
