import { randomInt } from 'node:crypto';
import type { Member } from '#bus/directory.ts';
import { ensureStreams } from '#bus/streams.ts';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import type { X509Source } from '#identity/svid.ts';
import type { IssuerLink } from '#runtime/launcher/issuer-link.ts';
import type { LaunchContext } from '#runtime/launcher/launch.ts';
import { launch } from '#runtime/launcher/launch.ts';
import type { NatsServer } from '#runtime/launcher/nats-server.ts';
import type { RunningProcess } from '#runtime/launcher/running.ts';
import type { PlanEntry, ProcessPlan, StepPlan } from '#runtime/supervisor/plan.ts';
import { workloadOf } from '#runtime/swarm-file/entries.ts';
import { platformMember } from '#runtime/swarm-file/resolve.ts';
import type { IssuerConfig } from '../processes/configs.ts';
import type { BrokerKeys } from './broker.ts';
import type { BrokerUpkeep } from './broker-upkeep.ts';
import type { CustodyKeys } from './custody-keys.ts';
import { IMAGES, type ImageStore, imageOf } from './images.ts';
import type { IssuanceLog } from './issuance-log.ts';
import { openMintedSource } from './minted-source.ts';
import { messageOf } from './process.ts';
import type { Rollouts } from './rollout.ts';
import { agentConfig, type StartContext, serviceConfig, startMessage } from './start-messages.ts';
import { witnessPlans } from './witness-plan.ts';
import type { Witnesses } from './witnesses.ts';

const SUPERVISOR_TTL_SECONDS = 3600;

export interface PlanContext extends StartContext {
  readonly images: ImageStore;
  readonly issuer: IssuerLink;
  readonly broker: NatsServer;
  readonly upkeep: BrokerUpkeep;
  readonly keys: BrokerKeys;
  readonly custodyKeys: CustodyKeys;
  readonly witnesses: Witnesses;
  readonly issuances: IssuanceLog;
  readonly launcher: LaunchContext;
  /** What each member runs and reads, asked at each of its starts. */
  readonly rollouts: Rollouts;
  /** The supervisor's own identity is there; what it returns ends with the swarm. */
  readonly onSupervisor: (source: X509Source) => Promise<Outcome<unknown>>;
  readonly onSupervisorStop: () => Promise<void>;
  /** What the issuer said when it refused a process an identity. */
  readonly denialOf: (pid: number) => string | undefined;
}

/**
 * The start of a swarm as data. Each entry begins when those before it are ready: identity and
 * witnesses first, then the broker and who may enter it, then the ledger, services and agents side by side, and last
 * the sources: nothing flows before everybody is there to take it.
 */
export function swarmPlan(context: PlanContext): PlanEntry[] {
  const { swarm } = context;
  const member = (name: Parameters<typeof platformMember>[1]): Member =>
    platformMember(swarm.trustDomain, name);
  const services = swarm.services.map((one) => one.member);
  const gates = ['gate-a', 'gate-b'] as const;
  /** The bus is open: there are streams, and gates that let members in. */
  const open = [...gates, 'streams'];
  // Sources begin when everybody else is there: what was signed before its receiver started is
  // refused, and would have to be signed again.
  const [sources, others] = [true, false].map((wanted) =>
    swarm.agents
      .filter(({ config }) => 'source' in Object(config) === wanted)
      .map((one) => one.member),
  ) as [Member[], Member[]];
  const agentPlan = (agent: Member, after: readonly Member[]): ProcessPlan =>
    nodePlan(context, agent, [...open, ...after.map(({ token }) => token)], () =>
      startMessage(context, agent, agentConfig(context.rollouts.swarm(), agent)),
    );
  return [
    issuerPlan(context),
    ...witnessPlans(context),
    certificates(context),
    {
      kind: 'process',
      name: 'nats',
      after: ['certificates'],
      spiffeId: member('nats').id,
      start: () => context.broker.start(),
    },
    ...gates.map((name) =>
      nodePlan(context, member(name), ['nats', 'witnesses'], () =>
        startMessage(
          context,
          member(name),
          {},
          {
            gateSeed: context.keys.gates[name]?.seed ?? '',
            issuerSeed: context.keys.issuer.seed,
          },
        ),
      ),
    ),
    streams(context),
    supervisorStep(context),
    nodePlan(context, member('ledger'), open, () =>
      startMessage(
        context,
        member('ledger'),
        context.witnesses.ledgerConfig(),
        context.witnesses.ledgerSecrets(),
      ),
    ),
    ...services.map((service) =>
      nodePlan(context, service, open, () =>
        startMessage(
          context,
          service,
          serviceConfig(context, service),
          service.name === 'llm' && context.upstreamApiKey !== undefined
            ? { upstreamApiKey: context.upstreamApiKey }
            : undefined,
        ),
      ),
    ),
    ...others.map((agent) => agentPlan(agent, [])),
    ...sources.map((agent) => agentPlan(agent, [member('ledger'), ...services, ...others])),
  ];
}

function issuerPlan(context: PlanContext): ProcessPlan {
  const { swarm, run, images } = context;
  const { uids } = context.launcher;
  const spki = images.ciKey.publicKey.export({ format: 'der', type: 'spki' }).toString('base64');
  const config: IssuerConfig = {
    stateDir: run.issuer,
    sharedSocket: uids !== undefined,
    launcherKey: context.issuer.publicKey,
    ciKeys: { [images.ciKey.keyId]: spki },
    mintable: [
      platformMember(swarm.trustDomain, 'nats').id,
      platformMember(swarm.trustDomain, 'supervisor').id,
    ],
  };
  return {
    kind: 'process',
    name: 'issuer',
    after: [],
    start: async (signal) => {
      const image = images.images.get('issuer');
      if (image === undefined) return refuse('IMAGE_UNREADABLE', 'no issuer image');
      // Nobody attests the issuer: it is started from an image that the launcher verified itself.
      if (!image.verified) return refuse('IMAGE_UNSIGNED', 'the issuer image is not signed by CI');
      return launch(
        {
          name: 'issuer',
          image,
          hardening: IMAGES.issuer ?? 'plain',
          withLink: true,
          capability: 'read-processes',
          start: () => ({
            type: 'start',
            self: platformMember(swarm.trustDomain, 'supervisor'),
            members: [],
            trustDomain: swarm.trustDomain,
            workloadSocket: uids === undefined ? run.workloadSocket : run.issuerSocket,
            config,
          }),
        },
        context.launcher,
        signal,
      );
    },
    onReady: async ({ link }: RunningProcess) =>
      link === undefined
        ? refuse('ISSUER_UNAVAILABLE', 'the issuer has no link')
        : context.issuer.attach(link),
  };
}

function nodePlan(
  context: PlanContext,
  member: Member,
  after: readonly string[],
  start: () => ReturnType<typeof startMessage>,
): ProcessPlan {
  const imageName = imageOf(member);
  return {
    kind: 'process',
    name:
      member.kind === 'platform' && member.name.startsWith('gate-') ? member.name : member.token,
    after,
    spiffeId: member.id,
    start: async (signal) => {
      const image = context.rollouts.image(member);
      if (image === undefined) return refuse('IMAGE_UNREADABLE', `no image ${imageName}`);
      const input = context.rollouts.file(member);
      return launch(
        {
          name: member.token,
          image,
          hardening: IMAGES[imageName] ?? 'sealed',
          ...(input !== undefined && { readFiles: [input] }),
          workload: workloadOf(member),
          start,
        },
        context.launcher,
        signal,
      );
    },
    // An agent or a service may live in quarantine; without gates and ledger there is no swarm.
    onReady: async ({ pid, quarantine }) =>
      member.kind === 'platform' && quarantine() !== undefined
        ? refuse('PLATFORM_QUARANTINED', `no identity: ${context.denialOf(pid) ?? quarantine()}`)
        : accept({}),
  };
}

function certificates(context: PlanContext): StepPlan {
  return {
    kind: 'step',
    name: 'certificates',
    after: ['issuer'],
    run: () => context.upkeep.provide(),
  };
}

/** Made by the pinned operator key, before the gates admit anybody. */
function streams(context: PlanContext): StepPlan {
  const { swarm } = context;
  return {
    kind: 'step',
    name: 'streams',
    after: ['nats'],
    run: async () => {
      const opened = await openSupervisorSource(context);
      if (!opened.ok) return opened;
      try {
        await ensureStreams(
          {
            source: opened.value,
            url: context.natsUrl(),
            brokerId: platformMember(swarm.trustDomain, 'nats').id,
            nkeySeed: context.keys.operator.seed,
            random: () => randomInt(2 ** 32) / 2 ** 32,
            clock: Date.now,
          },
          {
            kinds: swarm.kinds,
            districts: [...new Set(swarm.agents.map(({ district }) => district))],
            receivers: receiversOf(context),
            ledger: platformMember(swarm.trustDomain, 'ledger'),
          },
        );
        return accept({});
      } catch (error) {
        return refuse('STREAMS_NOT_MADE', messageOf(error));
      } finally {
        opened.value.close();
      }
    },
  };
}

function openSupervisorSource({ issuer, swarm }: PlanContext): Promise<Outcome<X509Source>> {
  const { id } = platformMember(swarm.trustDomain, 'supervisor');
  return openMintedSource(issuer, { id, ttlSeconds: SUPERVISOR_TTL_SECONDS });
}

/** The supervisor enters the broker like everybody else: by the gate, with what policy grants. */
function supervisorStep(context: PlanContext): StepPlan {
  return {
    kind: 'step',
    name: 'supervisor',
    after: ['gate-a', 'gate-b', 'streams'],
    run: async () => {
      const opened = await openSupervisorSource(context);
      if (!opened.ok) return opened;
      try {
        return await context.onSupervisor(opened.value);
      } catch (error) {
        opened.value.close();
        return refuse('SUPERVISOR_NOT_CONNECTED', messageOf(error));
      }
    },
    undo: context.onSupervisorStop,
  };
}

function receiversOf({ swarm }: PlanContext) {
  const receivers = new Set(swarm.consumptions.map(({ receiver }) => receiver));
  return [...receivers].map((member) => ({
    member,
    kinds: swarm.consumptions.filter((one) => one.receiver === member).map(({ kind }) => kind),
  }));
}
