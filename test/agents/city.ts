import type { CallTool } from '#agents/bus.ts';
import type { AgentCode } from '#agents/codes.ts';
import { type Loop, startLoop } from '#agents/loop.ts';
import {
  createAction,
  createAnalyzer,
  createSensor,
  roleSchemas,
  type ToolOffer,
} from '#agents/roles/index.ts';
import { openSource } from '#agents/sources/index.ts';
import { mcpOver } from '#agents/tools.ts';
import { embed } from '#services/llm/embedding.ts';
import { createMockModel } from '#services/llm/mock-model.ts';
import { chatRequest } from '#services/llm/schema.ts';
import { createToolCaller } from '#services/mcp/client.ts';
import { RUNBOOKS, runbookText } from '#services/vector/runbooks.ts';
import { type Hub, json, type Service } from './hub.ts';

export const PLAN_TOOL: ToolOffer = {
  name: 'signal.set_plan',
  description: 'Sets the signal plan of the district.',
  parameters: {
    type: 'object',
    properties: { plan: { type: 'string', enum: ['A', 'B', 'C'] } },
    required: ['plan'],
  },
};

/** Exact search over the agreed runbooks, with the services' own embedding. */
export const vectorService: Service = async ({ body }) => {
  const { text, k } = JSON.parse(body) as { text: string; k: number };
  const wanted = embed(text);
  const points = RUNBOOKS.map((runbook) => {
    const vector = embed(`${runbook.title}. ${runbook.text}`);
    return {
      id: runbook.id,
      text: runbookText(runbook),
      metadata: { title: runbook.title, tool: runbook.tool, arguments: runbook.arguments },
      score: vector.reduce((sum, value, index) => sum + value * (wanted[index] ?? 0), 0),
    };
  });
  points.sort((a, b) => b.score - a.score);
  return json(200, { points: points.slice(0, k) });
};

const model = createMockModel(() => 0);
export const llmService: Service = async ({ body }) => {
  const answer = await model(chatRequest.parse(JSON.parse(body)));
  return answer.ok ? json(200, answer.value) : json(502, { error: { code: answer.code } });
};

/** Answers a tool call of the MCP client with a result, or with an error of the tool. */
export function mcpService(
  run: (tool: string, given: unknown) => Promise<unknown | Error>,
): Service {
  return async ({ body }) => {
    const { id, params } = JSON.parse(body) as {
      id: number;
      params: { name: string; arguments: unknown };
    };
    const outcome = await run(params.name, params.arguments);
    const result =
      outcome instanceof Error
        ? {
            isError: true,
            content: [{ type: 'text', text: outcome.message }],
            structuredContent: { error: { code: outcome.name, message: outcome.message } },
          }
        : {
            content: [{ type: 'text', text: JSON.stringify(outcome) }],
            structuredContent: outcome,
          };
    return json(200, { jsonrpc: '2.0', id, result: { ...result, resultType: 'complete' } });
  };
}

export interface Said {
  readonly token: string;
  readonly code: AgentCode;
  readonly detail: string;
}

export function startCity(hub: Hub) {
  const said: Said[] = [];
  const loops = new Map<string, Loop>();
  const onNote = (token: string) => (code: AgentCode, detail: string) => {
    said.push({ token, code, detail });
  };
  const add = (token: string, loop: Loop): Loop => {
    loops.set(token, loop);
    return loop;
  };
  return {
    said,
    async sensor(name: string, config: unknown): Promise<Loop> {
      const token = `sensor-${name}`;
      const { source, measure } = roleSchemas.sensor.parse(config);
      const opened = await openSource(source);
      if (!opened.ok) throw new Error(opened.detail);
      return add(
        token,
        startLoop({
          role: createSensor({ self: token, measure }),
          bus: hub.join(token),
          consumes: [],
          audience: { reading: ['spiffe://city.example/agent/analyzer/north/*'] },
          source: opened.value,
          concurrency: 1,
          onNote: onNote(token),
        }),
      );
    },
    analyzer(config: unknown = {}, tools: readonly ToolOffer[] = [PLAN_TOOL]): Loop {
      const token = 'analyzer-one';
      const parsed = roleSchemas.analyzer.parse(config);
      return add(
        token,
        startLoop({
          role: createAnalyzer({ self: token, config: parsed, model: 'city-small', tools }),
          bus: hub.join(token),
          consumes: ['reading'],
          audience: { finding: ['spiffe://city.example/agent/action/north/*'] },
          concurrency: parsed.concurrency,
          onNote: onNote(token),
        }),
      );
    },
    action(config: unknown = {}, callTool?: CallTool): Loop {
      const token = 'action-one';
      const parsed = roleSchemas.action.parse(config);
      const bus = hub.join(token);
      return add(
        token,
        startLoop({
          role: createAction(parsed),
          bus,
          consumes: ['finding'],
          audience: {},
          callTool: callTool ?? createToolCaller(mcpOver(bus, { timeoutMs: parsed.timeoutMs })),
          concurrency: parsed.concurrency,
          onNote: onNote(token),
        }),
      );
    },
    /** In the order of the stream, so that each finishes what the one before it gave. */
    async stop() {
      for (const role of ['sensor', 'analyzer', 'action']) {
        for (const [token, loop] of loops) if (token.startsWith(role)) await loop.stop(10_000);
      }
    },
  };
}
