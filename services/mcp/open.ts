import { z } from 'zod';
import { openDoor } from '../door.ts';
import { authorizerOf, faults, type Service, type ServiceDeps } from '../service.ts';
import { createMcpApp } from './app.ts';
import { buildTools } from './tools.ts';
import { WORKS_TOOLS } from './works-tools.ts';

/** What the tool service takes in the swarm file beside the common keys: nothing. */
export const schema = z.strictObject({});

export function openMcp(deps: ServiceDeps): Service {
  const authorize = authorizerOf(deps, 'mcp');
  schema.parse(deps.config);
  const { callWorks, witnessed } = deps;
  if (callWorks === undefined || witnessed === undefined) {
    throw new Error('mcp: needs a way to city works (callWorks) and to the ledger (witnessed)');
  }
  const tools = buildTools(deps.tools ?? {}, WORKS_TOOLS);
  const app = createMcpApp({ app: faults(deps), authorize, tools, callWorks, witnessed });
  return { handle: openDoor(app), close: () => app.close() };
}
