import { createAction, roleSchemas } from '#agents/roles/index.ts';
import { runAgent } from '../wiring/agent-process.ts';

runAgent(async (config) => {
  const own = roleSchemas.action.parse(config.role);
  return { role: createAction(own), concurrency: own.concurrency };
});
