import { type LoopOptions, startLoop } from '#agents/loop.ts';
import { mcpOver } from '#agents/tools.ts';
import type { RecordId } from '#custody/record.ts';
import { createToolCaller } from '#services/mcp/client.ts';
import { type AgentConfig, agentConfigSchema } from '../processes/configs.ts';
import { joinSwarm } from './membership.ts';
import { type ProcessContext, runProcess } from './process.ts';

/** Longer than the tool server waits for the ledger and for the city works after it. */
const TOOL_TIMEOUT_MS = 20_000;

type RoleOptions<State> = Pick<LoopOptions<State>, 'role' | 'source' | 'concurrency'>;

/** An agent's process: its role, run by the loop, as a member of the swarm. */
export function runAgent<State>(
  make: (config: AgentConfig, context: ProcessContext) => Promise<RoleOptions<State>>,
): void {
  runProcess(async (context) => {
    const { start } = context;
    const config = agentConfigSchema.parse(start.config);
    const options = await make(config, context);
    const member = await joinSwarm(context);
    const loop = startLoop({
      ...options,
      bus: member.bus,
      consumes: config.consumes,
      audience: config.receivers,
      callTool: createToolCaller<RecordId>(mcpOver(member.bus, { timeoutMs: TOOL_TIMEOUT_MS })),
      onNote: (code, detail) => process.stdout.write(`note ${code}: ${detail}\n`),
    });
    return {
      close: async () => {
        await loop.stop();
        await member.close();
      },
      status: () => ({ ...loop.status(), ...member.status() }),
    };
  });
}
