import type { FastifyReply, FastifyRequest } from 'fastify';
import { trustDomainOf } from '#identity/spiffe-id.ts';
import { POLICY_CODES, type PolicyCode } from '#policy/codes.ts';
import type { Decision, DecisionInput, Policy } from '#policy/decision.ts';
import { SERVICE_CODES } from './codes.ts';
import { decided, type Peer } from './door.ts';

/** What a route asks policy, made of the matched route and the parsed body; never of raw text. */
export interface Question {
  readonly action: string;
  readonly properties?: Readonly<Record<string, unknown>>;
  readonly resource: {
    readonly type: string;
    readonly id: string;
    readonly properties?: Readonly<Record<string, unknown>>;
  };
  readonly context?: Readonly<Record<string, unknown>>;
  /** Keys of `properties` that hold prompts or documents: policy sees them, the log does not. */
  readonly masked?: readonly string[];
}

/** One line of the decision log, with OPA's field names. `timestamp` is RFC 3339. */
export interface DecisionLogEntry {
  readonly decision_id: string;
  readonly timestamp: string;
  readonly path: string;
  readonly labels: { readonly service: string };
  readonly bundles: { readonly swarm: { readonly revision: string } };
  readonly input: DecisionInput;
  readonly result: {
    readonly allow: boolean;
    readonly reasons: readonly string[];
    readonly obligations: Readonly<Record<string, unknown>>;
  };
  /** JSON pointers of what was replaced before logging. */
  readonly masked: readonly string[];
  readonly metrics: { readonly timer_rego_query_eval_ns: number };
  readonly error?: { readonly message: string };
}

export interface AuthorizerOptions {
  readonly policy: Policy;
  readonly service: string;
  readonly now: () => Date;
  /** Nanoseconds of a monotonic clock. */
  readonly tick: () => bigint;
  /** 128 random bits, base64url: the id of a decision that policy could not give. */
  readonly randomId: () => string;
  readonly onDecision: (entry: DecisionLogEntry) => void;
}

export type Authorize = (
  peer: Peer,
  route: { readonly method: string; readonly path: string },
  question: Question,
) => Decision;

const MASK = '(masked)';

/**
 * Asks policy, and denies whatever is not a plain yes: an exception, a value other than `true`, an
 * obligation that this enforcement point does not know (it could not keep it).
 */
export function createAuthorizer(options: AuthorizerOptions): Authorize {
  return (peer, route, question) => {
    const input = inputOf(options, peer, route, question);
    const started = options.tick();
    let decision: Decision;
    let failure: string | undefined;
    try {
      decision = enforceable(options.policy.decide(input));
    } catch {
      failure = 'policy could not be evaluated';
      decision = denied(options.randomId(), 'policy_error', '');
    }
    options.onDecision({
      decision_id: decision.id,
      timestamp: options.now().toISOString(),
      path: 'swarmproof/authz/decision',
      labels: { service: options.service },
      bundles: { swarm: { revision: decision.revision } },
      input: maskInput(input, question.masked ?? []),
      result: {
        allow: decision.allow,
        reasons: decision.reasons,
        obligations: decision.obligations,
      },
      masked: (question.masked ?? []).map((key) => `/input/action/properties/${key}`),
      metrics: { timer_rego_query_eval_ns: Number(options.tick() - started) },
      ...(failure === undefined ? {} : { error: { message: failure } }),
    });
    return decision;
  };
}

/** Asks for the request at hand; on a denial the 403 is sent and `undefined` comes back. */
export function authorizeRequest(
  authorize: Authorize,
  request: FastifyRequest,
  reply: FastifyReply,
  question: Question,
): Decision | undefined {
  const route = { method: request.method, path: request.routeOptions.url ?? '' };
  const decision = authorize(request.peer, route, question);
  decided(request, decision, codeOf(decision));
  if (decision.allow) return decision;
  reply.code(403).send(denialBody(decision));
  return undefined;
}

/** The code of a denial is that of the first check that failed. */
export function denialCode({ reasons }: Pick<Decision, 'reasons'>): PolicyCode | 'POLICY_DENIED' {
  const [first = ''] = reasons;
  if (!Object.hasOwn(POLICY_CODES, first)) return 'POLICY_DENIED';
  return POLICY_CODES[first as keyof typeof POLICY_CODES];
}

/** Of an allowed request there is none. */
export function codeOf(decision: Decision): string | undefined {
  return decision.allow ? undefined : denialCode(decision);
}

export function denialBody(decision: Decision) {
  return {
    error: {
      code: denialCode(decision),
      message: SERVICE_CODES.POLICY_DENIED,
      reasons: decision.reasons,
      decision: decision.id,
    },
  };
}

function inputOf(
  options: AuthorizerOptions,
  peer: Peer,
  route: { readonly method: string; readonly path: string },
  question: Question,
): DecisionInput {
  return {
    subject: {
      type: peer.kind,
      id: peer.id,
      properties: { trust_domain: trustDomainOf(peer.id) },
    },
    action: { name: question.action, properties: question.properties ?? {} },
    resource: {
      type: question.resource.type,
      id: question.resource.id,
      properties: { ...question.resource.properties, service: options.service },
    },
    context: {
      ...question.context,
      time: Math.floor(options.now().getTime() / 1000),
      record: peer.recordId,
      request: { method: route.method, path: route.path },
    },
  };
}

function enforceable(decision: Decision): Decision {
  if (decision.allow !== true) return { ...decision, allow: false };
  if (Object.keys(decision.obligations).length === 0) return decision;
  return { ...decision, allow: false, reasons: ['obligation_unknown'] };
}

function denied(id: string, reason: string, revision: string): Decision {
  return { id, allow: false, reasons: [reason], obligations: {}, revision };
}

function maskInput(input: DecisionInput, keys: readonly string[]): DecisionInput {
  if (keys.length === 0) return input;
  const properties: Record<string, unknown> = { ...input.action.properties };
  for (const key of keys) if (key in properties) properties[key] = MASK;
  return { ...input, action: { ...input.action, properties } };
}
