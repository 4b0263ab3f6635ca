import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import type { Member } from '#bus/directory.ts';
import type { StartMessage } from '#runtime/process-protocol.ts';
import type { RunFolder } from '#runtime/run-folder.ts';
import { policyData } from '#runtime/swarm-file/policy-data.ts';
import { platformMember, type Swarm } from '#runtime/swarm-file/resolve.ts';
import { buildTools } from '#services/mcp/tools.ts';
import { WORKS_TOOLS } from '#services/mcp/works-tools.ts';
import type { AgentConfig, ServiceConfig } from '../processes/configs.ts';
import type { IssuanceLog } from './issuance-log.ts';
import type { Witnesses } from './witnesses.ts';

export interface StartContext {
  readonly swarm: Swarm;
  readonly run: RunFolder;
  /** OPA bundle, base64. */
  readonly policyBundle: () => string;
  readonly natsUrl: () => string;
  /** Absent where one key is shared: there is no ledger to believe. */
  readonly witnesses?: Pick<Witnesses, 'pins'>;
  /** Absent where one key is shared: nobody judges certificates. */
  readonly issuances?: Pick<IssuanceLog, 'notes'>;
  readonly upstreamApiKey?: string;
}

/** Where the city works show their state to whoever stands outside the swarm. */
export function observeSocket(run: RunFolder): string {
  return run.observeSocket;
}

/** What a service keeps lies here, and the folder is its own. */
export function serviceFolder(run: RunFolder, member: Member): string {
  return join(run.services, member.token);
}

/** What every process is told, with its own part. Who decides gets the policy; no one else. */
export function startMessage(
  context: StartContext,
  self: Member,
  config: unknown,
  secrets?: Readonly<Record<string, string>>,
): StartMessage {
  const { swarm, run } = context;
  const decides =
    self.kind === 'service' || self.role.startsWith('gate-') || self.role === 'ledger';
  return {
    type: 'start',
    self,
    members: swarm.members,
    trustDomain: swarm.trustDomain,
    workloadSocket: run.workloadSocket,
    natsUrl: context.natsUrl(),
    brokerId: platformMember(swarm.trustDomain, 'nats').id,
    ...(decides && { policy: { bundle: context.policyBundle(), data: policyData(swarm) } }),
    ...(context.witnesses && { custody: context.witnesses.pins() }),
    ...(context.issuances && { standing: context.issuances.notes() }),
    config,
    ...(secrets && { secrets }),
  };
}

export function agentConfig(swarm: Swarm, member: Member): AgentConfig {
  const spec = swarm.agents.find((agent) => agent.member.id === member.id);
  const grants = swarm.grants[member.id];
  if (spec === undefined || grants === undefined) throw new Error(`no agent ${member.id}`);
  const routes = swarm.routes.filter(({ sender }) => sender === member.id);
  const granted = Object.entries(swarm.tools).filter(([name]) => grants.tools.includes(name));
  return {
    role: spec.config,
    consumes: [...grants.consume],
    receivers: Object.fromEntries(routes.map(({ kind, receivers }) => [kind, [...receivers]])),
    models: [...grants.models],
    tools: buildTools(Object.fromEntries(granted), WORKS_TOOLS).map((tool) => ({
      name: tool.name,
      description: tool.description,
      parameters: z.toJSONSchema(tool.inputSchema),
    })),
  };
}

export function serviceConfig(context: StartContext, member: Member): ServiceConfig {
  const { swarm, run } = context;
  const spec = swarm.services.find((service) => service.member.id === member.id);
  mkdirSync(serviceFolder(run, member), { recursive: true, mode: 0o700 });
  if (spec === undefined) throw new Error(`no service ${member.id}`);
  return {
    service: spec.config,
    models: [...spec.models],
    collections: Object.keys(spec.collections),
    tools: swarm.tools,
    database: join(serviceFolder(run, member), `${member.name}.db`),
    observe: observeSocket(run),
  };
}
