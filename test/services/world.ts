import { randomBytes } from 'node:crypto';
import type { BusRequest } from '#bus/http-message.ts';
import type { Verified } from '#bus/verified.ts';
import type { RecordClaims, RecordId } from '#custody/record.ts';
import { pathOf, type SpiffeId, spiffeId, trustDomainOf } from '#identity/spiffe-id.ts';
import type { Decision, DecisionInput, Policy } from '#policy/decision.ts';
import type { DecisionLogEntry } from '#services/authorize.ts';
import { createAuthorizer } from '#services/authorize.ts';
import type { ServiceReply } from '#services/door.ts';

export const ANALYZER = spiffeId('spiffe://city.example/agent/analyzer/north/analyzer-1');
export const SENSOR = spiffeId('spiffe://city.example/agent/sensor/north/cam-1');
export const ACTION = spiffeId('spiffe://city.example/agent/action/north/action-1');
export const TRAINER = spiffeId('spiffe://city.example/service/trainer');
export const MCP = spiffeId('spiffe://city.example/service/mcp');
export const VECTOR = spiffeId('spiffe://city.example/service/vector');

export function recordId(): RecordId {
  return randomBytes(32).toString('base64url') as RecordId;
}

/** A request as the bus's door hands it on, without the signature that the door has checked. */
export function verified(
  from: SpiffeId,
  payload: BusRequest,
  options: {
    readonly id?: RecordId;
    readonly causes?: readonly RecordId[];
    /** An `act` that orders this tool; by default the one that the body calls. */
    readonly act?: string | false;
  } = {},
): Verified<BusRequest> {
  const [, kind, role = '', district, name] = pathOf(from).split('/');
  const isAgent = kind === 'agent';
  const act = options.act === false ? undefined : (options.act ?? calledTool(payload.body));
  const claims: RecordClaims = {
    iss: from,
    aud: [`spiffe://${trustDomainOf(from)}/service/x`],
    sbj: 'svc.x.y',
    knd: act === undefined ? 'tool.call' : 'act',
    ...(act !== undefined && { tool: { kind: 'mcp', model: act, rid: 'r', signed: false } }),
    jti: randomBytes(16).toString('base64url'),
    iat: 1_700_000_000,
    exp: 1_700_000_030,
    sid: randomBytes(16).toString('base64url'),
    seq: 1,
    rsq: 1,
    par: options.causes ?? [],
    pdg: randomBytes(32).toString('base64url'),
  };
  return {
    ok: true,
    signedBy: from,
    sender: {
      id: from,
      token: isAgent ? `${role}-${name}` : `service-${role}`,
      kind: isAgent ? 'agent' : 'service',
      role,
      name: isAgent ? (name ?? '') : role,
      ...(isAgent && district !== undefined ? { district } : {}),
    },
    recordId: options.id ?? recordId(),
    claims,
    subject: claims.sbj,
    payload,
    gap: 0,
  };
}

/** The tool that an honest caller would name in its record. */
function calledTool(body: string): string | undefined {
  try {
    const { method, params } = JSON.parse(body) as { method?: string; params?: { name: string } };
    return method === 'tools/call' ? params?.name : undefined;
  } catch {
    return undefined;
  }
}

/** The envelope of a request; objects become JSON bodies. */
export function http(method: BusRequest['method'], path: string, body?: unknown): BusRequest {
  const text = body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body);
  return { method, path, contentType: 'application/json', body: text };
}

export type Rule = (input: DecisionInput) => readonly string[] | false;

/** A policy made of one function: the reasons to allow, or `false`. */
export function policyOf(rule: Rule): Policy {
  return {
    revision: 'r1',
    decide: (input): Decision => {
      const reasons = rule(input);
      return {
        id: randomBytes(16).toString('base64url'),
        allow: reasons !== false,
        reasons: reasons === false ? ['default_deny'] : reasons,
        obligations: {},
        revision: 'r1',
      };
    },
    permissions: () => undefined,
  };
}

export const allowAll: Rule = () => ['allowed'];

export function authorizer(service: string, policy: Policy) {
  const log: DecisionLogEntry[] = [];
  const authorize = createAuthorizer({
    policy,
    service,
    now: () => new Date(1_700_000_000_000),
    tick: () => process.hrtime.bigint(),
    randomId: () => randomBytes(16).toString('base64url'),
    onDecision: (entry) => log.push(entry),
  });
  return { authorize, log };
}

export function json(reply: ServiceReply): Record<string, never> & Record<string, unknown> {
  return JSON.parse(reply.response.body);
}

export function errorCode(reply: ServiceReply): string | undefined {
  const body = JSON.parse(reply.response.body) as { error?: { code?: string } };
  return body.error?.code;
}
