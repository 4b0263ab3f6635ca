import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import { createCityWorksApp } from '#services/city-works/app.ts';
import { openWorks } from '#services/city-works/works.ts';
import { openDoor } from '#services/door.ts';
import { createMcpApp } from '#services/mcp/app.ts';
import { createToolCaller, type McpRequest } from '#services/mcp/client.ts';
import { buildTools, type CallWorks, type WorksCall } from '#services/mcp/tools.ts';
import { WORKS_TOOLS } from '#services/mcp/works-tools.ts';
import { ACTION, authorizer, MCP, policyOf, type Rule, recordId, verified } from './world.ts';

export const TOOLS = {
  'signal.set_plan': { highRisk: false, arguments: { plan: { enum: ['A', 'B', 'C'] } } },
  'valve.set': { highRisk: true, arguments: { delta_pct: { min: -10, max: 10 } } },
  'valve.status': { highRisk: false, arguments: {} },
};

/** What Rego says of tools, as far as these tests need it. */
const toolRules: Rule = ({ subject, action, resource }) => {
  if (action.name !== 'tools/call' || subject.id !== ACTION) return false;
  const given = action.properties.arguments as { delta_pct?: number };
  if (given.delta_pct !== undefined && Math.abs(given.delta_pct) > 10) return false;
  return resource.id === 'valve.status' || resource.properties.district === 'north'
    ? ['tool_granted']
    : false;
};

export interface CityOptions {
  readonly rule?: Rule;
  /** True: the works got this call, and their answer is lost on the way back. */
  readonly loses?: (call: WorksCall) => boolean;
  /** True: the call is lost on the way to the works. */
  readonly drops?: (call: WorksCall) => boolean;
  readonly witnessed?: boolean;
}

/** The tool server and the city works behind their doors; what lies between is a function call. */
export function openCity(options: CityOptions = {}) {
  const works = openWorks(':memory:', () => new Date(1_700_000_000_000));
  const worksApp = createCityWorksApp({
    authorize: authorizer(
      'city-works',
      policyOf(({ subject }) => (subject.id === MCP ? ['orders_works'] : false)),
    ).authorize,
    works,
  });
  const worksDoor = openDoor(worksApp);
  const calls: WorksCall[] = [];
  const callWorks: CallWorks = async (call) => {
    calls.push(call);
    if (options.drops?.(call)) return refuse('TIMEOUT', 'no answer');
    const reply = await worksDoor(verified(MCP, call.request, { causes: [call.cause] }));
    if (options.loses?.(call)) return refuse('TIMEOUT', 'no answer');
    return accept({ response: reply.response, recordId: recordId() });
  };
  const { authorize, log } = authorizer('mcp', policyOf(options.rule ?? toolRules));
  const app = createMcpApp({
    authorize,
    tools: buildTools(TOOLS, WORKS_TOOLS),
    callWorks,
    witnessed: async (): Promise<Outcome<void>> =>
      options.witnessed === false ? refuse('STALE', 'no checkpoint covers it') : accept(undefined),
  });
  const door = openDoor(app);
  const send =
    (from = ACTION, id = recordId()) =>
    async (request: McpRequest) =>
      accept((await door(verified(from, request, { id }))).response);
  const close = async () => {
    await app.close();
    await worksApp.close();
    works.close();
  };
  return { works, door, log, calls, send, call: createToolCaller(send()), close };
}
