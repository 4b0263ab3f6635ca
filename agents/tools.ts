import type { BusRequest, BusResponse } from '#bus/http-message.ts';
import type { RecordId } from '#custody/record.ts';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import type { AgentBus } from './bus.ts';
import { fromText } from './json.ts';

const TOOL = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/**
 * Carries MCP requests over the bus. A tool call is an `act` that names its tool, so that the
 * ledger can accept one per cause and tool; what is no tool call acts on nothing.
 */
export function mcpOver(
  bus: Pick<AgentBus, 'request'>,
  options: { readonly timeoutMs: number; readonly service?: string },
): (request: BusRequest, causes: readonly RecordId[]) => Promise<Outcome<BusResponse>> {
  const { timeoutMs, service = 'mcp' } = options;
  return async (request, causes) => {
    const body = fromText(request.body);
    const call = member(body, 'method') === 'tools/call';
    const name = member(member(body, 'params'), 'name');
    const draft = { service, request, causes, timeoutMs };
    if (!call) return responseOf(await bus.request({ ...draft, recordKind: 'tool.call' }));
    const [cause] = causes;
    // The name came with a finding, so from a model: only what can be a name enters a record.
    if (typeof name !== 'string' || !TOOL.test(name) || cause === undefined) {
      return refuse('ACT_REFUSED', 'an order names a tool and its cause');
    }
    const tool = { kind: 'mcp', model: name, rid: cause, signed: false } as const;
    return responseOf(await bus.request({ ...draft, recordKind: 'act', tool }));
  };
}

function responseOf(answered: Awaited<ReturnType<AgentBus['request']>>): Outcome<BusResponse> {
  return answered.ok ? accept(answered.payload) : answered;
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null
    ? (value as Record<string, unknown>)[name]
    : undefined;
}
