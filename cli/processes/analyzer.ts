import { createAnalyzer, roleSchemas } from '#agents/roles/index.ts';
import { runAgent } from '../wiring/agent-process.ts';

runAgent(async (config, { start }) => {
  const own = roleSchemas.analyzer.parse(config.role);
  const model = own.model ?? config.models[0];
  if (model === undefined) throw new Error(`${start.self.name}: its role is granted no model`);
  return {
    role: createAnalyzer({ self: start.self.token, config: own, model, tools: config.tools }),
    concurrency: own.concurrency,
  };
});
