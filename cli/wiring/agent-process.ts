import type { AgentBus } from '#agents/bus.ts';
import { fromBytes } from '#agents/json.ts';
import { type LoopOptions, startLoop } from '#agents/loop.ts';
import { mcpOver } from '#agents/tools.ts';
import type { BusClient } from '#bus/client/bus-client.ts';
import type { RecordId } from '#custody/record.ts';
import { createToolCaller } from '#services/mcp/client.ts';
import { type AgentConfig, agentConfigSchema } from '../processes/configs.ts';
import { openBus } from './bus.ts';
import { brokerOf, directoryOf, identityOf, type ProcessContext, runProcess } from './process.ts';

/** Longer than the tool server waits for the ledger and for the city works after it. */
const TOOL_TIMEOUT_MS = 20_000;

type RoleOptions<State> = Pick<LoopOptions<State>, 'role' | 'source' | 'concurrency'>;

/** An agent's process: its role, run by the loop, over the bus. */
export function runAgent<State>(
  make: (config: AgentConfig, context: ProcessContext) => Promise<RoleOptions<State>>,
): void {
  runProcess(async (context) => {
    const { start } = context;
    const config = agentConfigSchema.parse(start.config);
    const options = await make(config, context);
    const source = await identityOf(context);
    const bus = await openBus({
      self: start.self,
      directory: directoryOf(start),
      source,
      ...brokerOf(start),
    });
    const loop = startLoop({
      ...options,
      bus: agentBus(bus),
      consumes: config.consumes,
      audience: config.receivers,
      callTool: createToolCaller<RecordId>(mcpOver(agentBus(bus), { timeoutMs: TOOL_TIMEOUT_MS })),
      onNote: (code, detail) => process.stdout.write(`note ${code}: ${detail}\n`),
    });
    return {
      close: async () => {
        await loop.stop();
        await bus.close();
        source.close();
      },
      status: () => {
        const { sent, ledger, refusals, link } = bus.status();
        return { ...loop.status(), sent, ledger, refusals, rotations: link.rotations };
      },
    };
  });
}

/** The application's own id of a message: a re-signed one is the same message. */
function idOf(payload: Uint8Array): string | undefined {
  const value = fromBytes(payload);
  if (typeof value !== 'object' || value === null || !('id' in value)) return undefined;
  return typeof value.id === 'string' ? value.id : undefined;
}

function agentBus(bus: BusClient): AgentBus {
  return {
    send: (message) => bus.send(message),
    consume: (consumption) => bus.consume({ ...consumption, idOf }),
    request: (request) => bus.request(request),
    flush: () => bus.flush(),
  };
}
