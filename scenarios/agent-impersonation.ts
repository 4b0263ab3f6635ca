import type { Member } from '#bus/directory.ts';
import { requestSubject } from '#bus/subjects.ts';
import type { AgentScenario } from './scenario.ts';

const TOOL = 'signal.set_plan';
/** The standing plan: no incident makes an honest agent order it. */
const PLAN = 'A';

function victim(members: readonly Member[]): Member {
  const found = members.find(({ kind, role }) => kind === 'agent' && role === 'action');
  if (found === undefined) throw new Error('this swarm has no agent of the role action');
  return found;
}

/** Code in a camera gives the orders that only the action agent may give. */
export const agentImpersonation: AgentScenario = {
  id: 'agent-impersonation',
  title: 'A camera gives orders in the name of the action agent',
  story:
    'Somebody runs code of their own inside one traffic camera. It tells the city that the agent in charge of the traffic lights wants another signal plan.',
  taxonomy: {
    asi: ['ASI03', 'ASI07'],
    llm: [],
    mcp: ['MCP07'],
    atlas: ['AML.T0073', 'AML.T0074'],
    cwe: ['CWE-290'],
  },
  foothold: { kind: 'code in an agent', role: 'sensor' },
  steps: [
    'code beside the honest role in one sensor hands over what its process holds',
    'honest twin: a reading in the sensor’s own name, by the same connection',
    'attack: an order to the tool server in the name of the action agent',
    'goal: the city works carry out signal plan A, which nobody ordered',
  ],
  control: (hold, at) => hold.read(at),
  passed: 'recorded',
  attack: (hold, strike) => hold.orderAs(victim(hold.members), TOOL, { plan: PLAN }, strike),
  goal: (now, before) => {
    const known = new Set(before.orders.map(({ order }) => order));
    const carried = now.orders.find(
      ({ order, work }) => !known.has(order) && work.kind === 'signal' && work.plan === PLAN,
    );
    return carried && `city works carried out plan ${PLAN}, order ${carried.order.slice(0, 8)}`;
  },
  refused: { by: 'subject', subject: (members) => requestSubject('mcp', victim(members)) },
  stoppedBy: ['B', 'S'],
  detection: { code: 'PUBLISH_DENIED', where: 'the broker’s log, recorded in the ledger' },
};
