import type { BusRequest } from '#bus/http-message.ts';
import { accept, refuse } from '#identity/outcome.ts';
import type { ToolCall, ToolImplementation, ToolOutcome } from './tools.ts';

/** The tools that act on the city works. A new tool is one more entry here. */
export const WORKS_TOOLS: ReadonlyMap<string, ToolImplementation> = new Map<
  string,
  ToolImplementation
>([
  [
    'signal.set_plan',
    {
      description: "Sets the signal plan of the caller's own district.",
      parameters: { plan: 'string' },
      readOnly: false,
      run: async (call) => {
        if (call.district === undefined) {
          return refuse('DISTRICT_MISSING', 'signal.set_plan acts on the district of its caller');
        }
        const { plan } = call.arguments;
        return order(call, '/signal/plan', { district: call.district, plan });
      },
    },
  ],
  [
    'valve.set',
    {
      description: 'Opens (positive) or closes (negative) the drain valve by percentage points.',
      parameters: { delta_pct: 'number' },
      readOnly: false,
      run: (call) => order(call, '/valve', { delta_pct: call.arguments.delta_pct }),
    },
  ],
  [
    'valve.status',
    {
      description: 'Reads the position of the drain valve, in percent open.',
      parameters: {},
      readOnly: true,
      run: readValve,
    },
  ],
]);

/**
 * An order is sent once: one act stands for one cause. When no answer comes, the works are asked
 * whether they carry it; where that tells nothing either, nobody knows, and the tool says exactly
 * that instead of success or failure.
 */
async function order(
  call: ToolCall,
  path: string,
  work: Readonly<Record<string, unknown>>,
): Promise<ToolOutcome> {
  const answered = await call.ask('act', {
    method: 'POST',
    path,
    contentType: 'application/json',
    body: JSON.stringify({ order: call.cause, ...work }),
  });
  if (answered.ok && answered.value.status < 500) {
    const { status, body } = answered.value;
    if (status === 200) return accept({ done: true, order: call.cause, ...work });
    return refuse('ORDER_REFUSED', `city works answered ${status} ${codeIn(body)}`);
  }
  const state = await readState(call);
  const orders = member(state, 'orders');
  if (Array.isArray(orders) && orders.some((one) => member(one, 'order') === call.cause)) {
    return accept({ done: true, order: call.cause, confirmed_by: 'state', ...work });
  }
  const seen = state === undefined ? 'their state cannot be read' : 'their state does not show it';
  return refuse(
    'ORDER_OUTCOME_UNKNOWN',
    `city works did not answer order ${call.cause}, and ${seen}; it may have been or be applied`,
  );
}

async function readValve(call: ToolCall): Promise<ToolOutcome> {
  const pct = member(await readState(call), 'valve_pct');
  if (typeof pct === 'number') return accept({ valve_pct: pct });
  return refuse('WORKS_UNAVAILABLE', 'city works did not tell the position of the valve');
}

async function readState(call: ToolCall): Promise<unknown> {
  const request: BusRequest = { method: 'GET', path: '/state', contentType: '', body: '' };
  const answered = await call.ask('tool.call', request);
  return answered.ok && answered.value.status === 200 ? parse(answered.value.body) : undefined;
}

function codeIn(body: string): string {
  const code = member(member(parse(body), 'error'), 'code');
  return typeof code === 'string' && /^[A-Z_]{1,64}$/.test(code) ? code : '';
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null
    ? (value as Record<string, unknown>)[name]
    : undefined;
}
