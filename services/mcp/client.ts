import {
  Client,
  type DiscoverResult,
  StreamableHTTPClientTransport,
} from '@modelcontextprotocol/client';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';

/** A request and its answer, as they travel inside the signed payload. */
export interface McpRequest {
  readonly method: 'POST';
  readonly path: string;
  readonly contentType: string;
  readonly body: string;
}
export interface McpAnswer {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

/** Carries one request to the tool server, naming its causes; throws nothing, refuses instead. */
export type SendMcp<Cause extends string> = (
  request: McpRequest,
  causes: readonly Cause[],
) => Promise<Outcome<McpAnswer>>;

/** What a tool gave back. `refusal` is the server's: policy, bounds, an order not known to be done. */
export interface ToolRefusal {
  readonly code: string;
  readonly message: string;
  readonly reasons: readonly string[];
  readonly decision: string | undefined;
}
export type ToolAnswer =
  | { readonly done: true; readonly result: Readonly<Record<string, unknown>> }
  | { readonly done: false; readonly refusal: ToolRefusal };

/** Calls a tool. Not `ok`: no answer of the server came (`BUS_…`, `MCP_FAILED`). */
export type CallTool<Cause extends string> = (
  name: string,
  given: Readonly<Record<string, unknown>>,
  causes: readonly Cause[],
) => Promise<Outcome<ToolAnswer>>;

/** The only revision spoken between the swarm's own parts: nothing to negotiate, so no downgrade. */
const REVISION = '2026-07-28';
/** Never resolved: requests go through `send`. */
const ADDRESS = new URL('http://mcp/mcp');
/** Longer than the bus's own limit, which should speak first. */
const DEFAULT_TIMEOUT_MS = 30_000;
const NO_BODY: ReadonlySet<number> = new Set([101, 202, 204, 205, 304]);

const SERVER: DiscoverResult = {
  supportedVersions: [REVISION],
  capabilities: { tools: {} },
  serverInfo: { name: 'mcp', version: '1' },
  ttlMs: 0,
  cacheScope: 'private',
};

/**
 * The official client over an injected transport function, without sessions: one client per call,
 * so that the causes of one call cannot be mixed up with another's that runs at the same time.
 */
export function createToolCaller<Cause extends string>(
  send: SendMcp<Cause>,
  options: { readonly timeoutMs?: number } = {},
): CallTool<Cause> {
  const timeout = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  return async (name, given, causes) => {
    let refused: Outcome<McpAnswer> | undefined;
    const transport = new StreamableHTTPClientTransport(ADDRESS, {
      fetch: async (_url, init) => {
        if (init?.method !== 'POST') return new Response(null, { status: 405 });
        const answered = await send(
          {
            method: 'POST',
            path: ADDRESS.pathname,
            contentType: 'application/json',
            body: typeof init.body === 'string' ? init.body : '',
          },
          causes,
        );
        if (!answered.ok) {
          refused = answered;
          throw new Error(answered.code);
        }
        const { status, contentType, body } = answered.value;
        refused = serviceRefusal(status, body);
        if (refused !== undefined) throw new Error('refused');
        return new Response(NO_BODY.has(status) ? null : body, {
          status,
          headers: { 'content-type': contentType },
        });
      },
    });
    const client = new Client(
      { name: 'swarm-agent', version: '1' },
      { versionNegotiation: { mode: { pin: REVISION } } },
    );
    try {
      await client.connect(transport, { prior: { kind: 'modern', discover: SERVER } });
      const result = await client.callTool({ name, arguments: { ...given } }, { timeout });
      return accept(answerOf(result));
    } catch (error) {
      if (refused !== undefined && !refused.ok) return refused;
      return refuse('MCP_FAILED', error instanceof Error ? error.message : 'the call failed');
    } finally {
      await client.close().catch(() => {});
    }
  };
}

/** The door's own refusals carry a code of the services; errors of JSON-RPC are the SDK's to read. */
function serviceRefusal(status: number, body: string): Outcome<McpAnswer> | undefined {
  if (status < 400) return undefined;
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch {
    return refuse('MCP_FAILED', `the tool server answered ${status}`);
  }
  const error = isObject(parsed) && isObject(parsed.error) ? parsed.error : {};
  if (typeof error.code !== 'string') return undefined;
  return refuse(error.code, typeof error.message === 'string' ? error.message : '');
}

function answerOf(result: {
  readonly isError?: boolean | undefined;
  readonly content: readonly unknown[];
  readonly structuredContent?: unknown;
}): ToolAnswer {
  const structured = isObject(result.structuredContent) ? result.structuredContent : {};
  if (result.isError !== true) return { done: true, result: structured };
  const error = isObject(structured.error) ? structured.error : {};
  const first = result.content[0];
  const text = isObject(first) && typeof first.text === 'string' ? first.text : 'the tool failed';
  return {
    done: false,
    refusal: {
      code: typeof error.code === 'string' ? error.code : 'TOOL_FAILED',
      message: typeof error.message === 'string' ? error.message : text,
      reasons: Array.isArray(error.reasons)
        ? error.reasons.filter((r) => typeof r === 'string')
        : [],
      decision: typeof error.decision === 'string' ? error.decision : undefined,
    },
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
