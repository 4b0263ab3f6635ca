import { createHash } from 'node:crypto';
import { z } from 'zod';
import type { BusRequest, BusResponse } from '#bus/http-message.ts';
import type { RecordId, ToolClaim } from '#custody/record.ts';
import type { Outcome } from '#identity/outcome.ts';
import type { ServiceCode } from '../codes.ts';

/** What the swarm file says of a tool. Bounds are policy's to enforce; here they are advertised. */
export interface ToolData {
  readonly highRisk: boolean;
  readonly arguments: Readonly<Record<string, ArgumentBounds>>;
}
export interface ArgumentBounds {
  readonly min?: number | undefined;
  readonly max?: number | undefined;
  readonly enum?: readonly (string | number | boolean)[] | undefined;
}

/** A request to city works. `act` moves something, and is recorded once per cause and tool. */
export interface WorksCall {
  readonly request: BusRequest;
  readonly recordKind: 'act' | 'tool.call';
  /** The record that asked for it. */
  readonly cause: RecordId;
  readonly tool: ToolClaim;
}
/** Refused: no answer came, and what became of the request is not known. */
export type CallWorks = (
  call: WorksCall,
) => Promise<Outcome<{ readonly response: BusResponse; readonly recordId: RecordId }>>;

export interface ToolCall {
  readonly arguments: Readonly<Record<string, unknown>>;
  /** The record that asked for the call, and its sender's district. */
  readonly cause: RecordId;
  readonly district: string | undefined;
  /** Sends a request to city works in the name of this call. */
  readonly ask: (
    recordKind: WorksCall['recordKind'],
    request: BusRequest,
  ) => Promise<Outcome<BusResponse>>;
}

export type ToolOutcome = Outcome<Readonly<Record<string, unknown>>, ServiceCode>;

export interface Tool {
  readonly name: string;
  readonly description: string;
  readonly inputSchema: z.ZodObject;
  readonly highRisk: boolean;
  readonly readOnly: boolean;
  /** SHA-256 (hex) of name, description and schema: what an approval of the tool is pinned to. */
  readonly manifest: string;
  readonly run: (call: ToolCall) => Promise<ToolOutcome>;
}

interface Implementation {
  readonly description: string;
  readonly parameters: Readonly<Record<string, 'string' | 'number'>>;
  readonly readOnly: boolean;
  readonly run: Tool['run'];
}

/** Joins the swarm's tool data with what can be run. @throws Error naming a tool that cannot. */
export function buildTools(
  data: Readonly<Record<string, ToolData>>,
  implementations: ReadonlyMap<string, Implementation>,
): readonly Tool[] {
  return Object.entries(data).map(([name, tool]) => {
    const found = implementations.get(name);
    if (found === undefined) {
      const known = [...implementations.keys()].join(', ');
      throw new Error(`tools: the mcp service has no tool "${name}"; it has ${known}`);
    }
    const unknown = Object.keys(tool.arguments).find((argument) => !(argument in found.parameters));
    if (unknown !== undefined) {
      throw new Error(`tools: "${name}" has no argument "${unknown}"`);
    }
    const inputSchema = schemaOf(found.parameters, tool.arguments);
    const described = { name, description: found.description, schema: z.toJSONSchema(inputSchema) };
    return {
      name,
      description: found.description,
      inputSchema,
      highRisk: tool.highRisk,
      readOnly: found.readOnly,
      manifest: createHash('sha256').update(JSON.stringify(described)).digest('hex'),
      run: found.run,
    };
  });
}

/**
 * Names and types are checked here. Bounds only stand in the schema that a model reads: a check of
 * them before policy has spoken would be a second place for the same rule.
 */
function schemaOf(
  parameters: Implementation['parameters'],
  bounds: ToolData['arguments'],
): z.ZodObject {
  const shape = Object.entries(parameters).map(([name, type]) => {
    const schema = type === 'string' ? z.string().max(64) : z.number();
    const bound = bounds[name];
    if (bound === undefined) return [name, schema] as const;
    const advertised = {
      ...(bound.enum && { enum: [...bound.enum] }),
      ...(bound.min !== undefined && { minimum: bound.min }),
      ...(bound.max !== undefined && { maximum: bound.max }),
    };
    return [name, schema.meta(advertised)] as const;
  });
  return z.strictObject(Object.fromEntries(shape));
}

export type { Implementation as ToolImplementation };
