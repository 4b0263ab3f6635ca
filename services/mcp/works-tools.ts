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
 * City works applies an order once per cause. So when no answer comes, the same order is sent once
 * more: it either was applied and says so, or is applied now. With two silences nobody knows, and
 * the tool says exactly that instead of success or failure.
 */
async function order(
  call: ToolCall,
  path: string,
  work: Readonly<Record<string, unknown>>,
): Promise<ToolOutcome> {
  const request: BusRequest = {
    method: 'POST',
    path,
    contentType: 'application/json',
    body: JSON.stringify({ order: call.cause, ...work }),
  };
  let attempts = 0;
  while (attempts < 2) {
    attempts += 1;
    const answered = await call.callWorks(request, call.cause);
    if (!answered.ok || answered.value.status >= 500) continue;
    const { status, body } = answered.value;
    if (status === 200) return accept({ done: true, order: call.cause, attempts, ...work });
    return refuse('ORDER_REFUSED', `city works answered ${status} ${codeIn(body)}`);
  }
  return refuse(
    'ORDER_OUTCOME_UNKNOWN',
    `city works did not answer ${attempts} times; order ${call.cause} may have been applied`,
  );
}

async function readValve(call: ToolCall): Promise<ToolOutcome> {
  const request: BusRequest = {
    method: 'GET',
    path: '/state',
    contentType: 'application/json',
    body: '',
  };
  const answered = await call.callWorks(request, call.cause);
  if (!answered.ok) return refuse('ORDER_REFUSED', 'city works did not answer');
  const { status, body } = answered.value;
  if (status !== 200)
    return refuse('ORDER_REFUSED', `city works answered ${status} ${codeIn(body)}`);
  const pct = member(parse(body), 'valve_pct');
  if (typeof pct !== 'number') return refuse('ORDER_REFUSED', 'city works answered no position');
  return accept({ valve_pct: pct });
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
