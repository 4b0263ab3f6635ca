import {
  type CallToolResult,
  createMcpHandler,
  McpServer,
  PROTOCOL_VERSION_META_KEY,
} from '@modelcontextprotocol/server';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { CHANNELS, note, type ToolHop } from '#bus/telemetry.ts';
import type { RecordId } from '#custody/record.ts';
import { accept, type Outcome } from '#identity/outcome.ts';
import { type Authorize, codeOf, denialBody } from '../authorize.ts';
import type { ServiceCode } from '../codes.ts';
import {
  attest,
  createServiceApp,
  decided,
  errorBody,
  refuseRequest,
  restOn,
  type ServiceAppOptions,
} from '../door.ts';
import type { CallWorks, Tool } from './tools.ts';

export interface McpDeps {
  readonly app?: ServiceAppOptions;
  readonly authorize: Authorize;
  readonly tools: readonly Tool[];
  readonly callWorks: CallWorks;
  /** Accepts when the ledger holds the record; asked before a tool runs that moves something. */
  readonly witnessed: (cause: RecordId) => Promise<Outcome<void>>;
}

const ROUTE = '/mcp';
const ORIGIN = 'http://mcp';
/** `subscriptions/listen` and its like stream without end; the bus carries one answer per request. */
const METHODS: ReadonlySet<string> = new Set([
  'initialize',
  'notifications/initialized',
  'notifications/cancelled',
  'ping',
  'server/discover',
  'tools/list',
  'tools/call',
]);
const HEADER_SAFE = /^[A-Za-z0-9._-]{1,64}$/;

/** The official MCP server behind `POST /mcp`, without sessions: each call stands for itself. */
export function createMcpApp(deps: McpDeps): FastifyInstance {
  const app = createServiceApp(deps.app);
  // The SDK makes a server per exchange; this map tells it whose exchange it is.
  const exchanges = new WeakMap<Request, FastifyRequest>();
  const handler = createMcpHandler(
    ({ requestInfo }) => {
      const request = requestInfo === undefined ? undefined : exchanges.get(requestInfo);
      if (request === undefined) throw new Error('an MCP exchange without a verified peer');
      return createServer(deps, request);
    },
    { keepAliveMs: 0, ...(deps.app?.onFault && { onerror: deps.app.onFault }) },
  );
  app.addHook('onClose', () => handler.close());
  app.post(ROUTE, async (request, reply) => {
    const envelope = readEnvelope(request.body);
    if (envelope === undefined) return refuseRequest(reply, 400, 'BODY_INVALID');
    if (!METHODS.has(envelope.method)) return refuseRequest(reply, 400, 'METHOD_REFUSED');
    // The ledger accepts one act per cause and tool, and asks no more of other kinds. Carried by a
    // `tool.call`, or by an act that names another tool, one cause would move things many times.
    if (request.peer.act !== orderedBy(envelope)) return refuseRequest(reply, 400, 'ACT_MISMATCH');
    const inner = new Request(`${ORIGIN}${ROUTE}`, {
      method: 'POST',
      headers: headersOf(envelope),
      body: JSON.stringify(request.body),
    });
    exchanges.set(inner, request);
    const answer = await handler.fetch(inner, { parsedBody: request.body });
    const type = answer.headers.get('content-type');
    if (type !== null) reply.type(type);
    return reply.code(answer.status).send(await answer.text());
  });
  return app;
}

/** Registers every tool by the one wrapper; there is no other way for a tool to be reached. */
function createServer(deps: McpDeps, request: FastifyRequest): McpServer {
  const server = new McpServer({ name: 'mcp', version: '1' }, { capabilities: { tools: {} } });
  for (const tool of deps.tools) {
    server.registerTool(
      tool.name,
      {
        description: tool.description,
        inputSchema: tool.inputSchema,
        annotations: { readOnlyHint: tool.readOnly, destructiveHint: tool.highRisk },
      },
      (given) => {
        const hop: ToolHop = { tool: tool.name, method: 'tools/call' };
        return CHANNELS.tool.tracePromise(() => callTool(deps, request, tool, given, hop), hop);
      },
    );
  }
  return server;
}

/** Policy, then the witnesses where the tool is high-risk, then the tool. */
async function callTool(
  deps: McpDeps,
  request: FastifyRequest,
  tool: Tool,
  given: Readonly<Record<string, unknown>>,
  hop: ToolHop,
): Promise<CallToolResult> {
  const refused = (code: ServiceCode, detail: string): CallToolResult => {
    hop.refused = code;
    note('serviceRefused', { code });
    return toolError(errorBody(code, detail));
  };
  const { peer } = request;
  const route = { method: request.method, path: ROUTE };
  const decision = deps.authorize(peer, route, {
    action: 'tools/call',
    properties: { arguments: given },
    resource: {
      type: 'tool',
      id: tool.name,
      properties: {
        server: 'city-works',
        manifest: tool.manifest,
        // Works act on the caller's own district, which comes from its verified identity.
        ...(peer.district === undefined ? {} : { district: peer.district }),
      },
    },
  });
  const code = codeOf(decision);
  decided(request, decision, code);
  if (code !== undefined) {
    hop.refused = code;
    return toolError(denialBody(decision));
  }
  // The ledger accepts one act per cause and tool: what acts before it has spoken acts twice.
  if (!tool.readOnly) {
    const seen = await deps.witnessed(peer.recordId);
    if (!seen.ok) return refused('CAUSE_NOT_WITNESSED', seen.detail);
  }
  const claim = { kind: 'tool', model: tool.name, rid: decision.id, signed: false } as const;
  attest(request, claim);
  const outcome = await tool.run({
    arguments: given,
    cause: peer.recordId,
    district: peer.district,
    ask: async (recordKind, asked) => {
      const { recordId: cause } = peer;
      const answered = await deps.callWorks({ request: asked, recordKind, cause, tool: claim });
      if (!answered.ok) return answered;
      restOn(request, answered.value.recordId);
      return accept(answered.value.response);
    },
  });
  if (!outcome.ok) return refused(outcome.code, outcome.detail);
  return {
    content: [{ type: 'text', text: JSON.stringify(outcome.value) }],
    structuredContent: { ...outcome.value },
  };
}

function toolError(body: {
  readonly error: { readonly code: string; readonly message: string };
}): CallToolResult {
  const message = `${body.error.code}: ${body.error.message}`;
  return {
    isError: true,
    content: [{ type: 'text', text: message }],
    structuredContent: { error: body.error },
  };
}

/** The tool that a body calls; `undefined` for a method that moves nothing. */
function orderedBy({ method, tool }: Envelope): string | undefined {
  return method === 'tools/call' ? tool : undefined;
}

interface Envelope {
  readonly method: string;
  /** Of `tools/call`: its name as the body has it. */
  readonly tool: string | undefined;
  readonly name: string | undefined;
  readonly version: string | undefined;
}

function readEnvelope(body: unknown): Envelope | undefined {
  const method = member(body, 'method');
  if (typeof method !== 'string') return undefined;
  const params = member(body, 'params');
  const tool = member(params, 'name');
  // No name is no tool's: it must not pass for a body that calls none.
  if (method === 'tools/call' && typeof tool !== 'string') return undefined;
  return {
    method,
    tool: typeof tool === 'string' ? tool : undefined,
    name: headerSafe(member(params, 'name')),
    version: headerSafe(member(member(params, '_meta'), PROTOCOL_VERSION_META_KEY)),
  };
}

/**
 * MCP 2026-07-28 mirrors parts of the body in headers for intermediaries that do not read bodies.
 * Only the body is signed, so the headers are made from it and cannot disagree.
 */
function headersOf(envelope: Envelope): Record<string, string> {
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    accept: 'application/json, text/event-stream',
  };
  if (envelope.version === undefined) return headers;
  headers['mcp-protocol-version'] = envelope.version;
  headers['mcp-method'] = envelope.method;
  if (envelope.name !== undefined) headers['mcp-name'] = envelope.name;
  return headers;
}

function headerSafe(value: unknown): string | undefined {
  return typeof value === 'string' && HEADER_SAFE.test(value) ? value : undefined;
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null
    ? (value as Record<string, unknown>)[name]
    : undefined;
}
