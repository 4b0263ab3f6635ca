import type { Swarm } from './resolve.ts';

/**
 * The policy's data document (`data.swarm`): who exists, what each is granted, what tools take.
 * Platform processes are members only; their fixed permissions stand in the policy itself.
 */
export function policyData(swarm: Swarm): Readonly<Record<string, unknown>> {
  const members = swarm.members.map(({ id, token, kind, role, district, name }) => [
    id,
    { token, kind, role, name, ...(district === undefined ? {} : { district }) },
  ]);
  const tools = Object.entries(swarm.tools).map(([name, tool]) => [
    name,
    { high_risk: tool.highRisk, arguments: tool.arguments },
  ]);
  return {
    trust_domain: swarm.trustDomain,
    members: Object.fromEntries(members),
    grants: swarm.grants,
    tools: Object.fromEntries(tools),
    collections: swarm.collections,
  };
}
