import { createSensor, roleSchemas } from '#agents/roles/index.ts';
import { openSource } from '#agents/sources/index.ts';
import { runAgent } from '../wiring/agent-process.ts';

runAgent(async (config, { start }) => {
  const { source: wanted, measure } = roleSchemas.sensor.parse(config.role);
  const source = await openSource(wanted);
  if (!source.ok) throw new Error(`${start.self.name}: ${source.detail}`);
  return {
    role: createSensor({ self: start.self.token, measure }),
    source: source.value,
    concurrency: 1,
  };
});
