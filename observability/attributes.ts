/**
 * Every attribute that a span may have, with what its value may be. A value that does not fit is
 * left out here and refused by the supervisor: no prompt, payload, key or free text has a place.
 * Names are those of the OpenTelemetry semantic conventions where they have one; a test compares.
 */
type Shape =
  | { readonly type: 'string'; readonly pattern: RegExp }
  | { readonly type: 'strings'; readonly pattern: RegExp }
  | { readonly type: 'count' }
  | { readonly type: 'boolean' };

const text = (pattern: RegExp): Shape => ({ type: 'string', pattern });
const COUNT: Shape = { type: 'count' };

/** SPIFFE-ID 2.1 to 2.3; longer ones than these are not in a trace. */
const SPIFFE_ID = /^spiffe:\/\/[a-z0-9._-]{1,255}(?:\/[A-Za-z0-9._-]{1,255}){1,16}$/;
const RECORD_ID = /^[A-Za-z0-9_-]{43}$/;
/** A stable code of one of the tables of codes. */
const CODE = /^[A-Z][A-Z0-9_]{2,63}$/;
/** A name that the swarm file or the code gives: of a tool, a model, a kind, a check. */
const NAME = /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$/;
const SUBJECT = /^[A-Za-z0-9_-]{1,64}(?:\.[A-Za-z0-9_-]{1,64}){1,4}$/;
const TEMPLATE = /^[a-z0-9{}_-]{1,64}(?:\.[a-z0-9{}_-]{1,64}){1,4}$/;
const HEX = /^[0-9a-f]{1,64}$/;
const ID = /^[A-Za-z0-9_-]{1,64}$/;
const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{3})?Z$/;

export const ATTRIBUTES = {
  'spiffe.id': text(SPIFFE_ID),
  'peer.spiffe.id': text(SPIFFE_ID),

  'custody.record.id': text(RECORD_ID),
  'custody.record.digest': text(RECORD_ID),
  'custody.record.seq': COUNT,
  'custody.record.kind': text(NAME),
  /** The record that answers a request, signed by the answering service. */
  'custody.answer.id': text(RECORD_ID),
  'custody.decision': text(/^(?:allow|deny)$/),
  'custody.decision.id': text(ID),
  'custody.decision.reasons': { type: 'strings', pattern: NAME },
  'custody.decision.revision': text(NAME),
  'custody.refusal': text(CODE),
  /** Who refused an admission: `gate-a`, `workload-api`, `broker`. */
  'custody.refused_by': text(NAME),
  /** Token under which the broker let a message be published that a door refused. */
  'custody.presented_by': text(NAME),

  'error.type': text(NAME),

  'messaging.system.name': text(/^nats$/),
  'messaging.operation.name': text(NAME),
  'messaging.operation.type': text(/^(?:send|process)$/),
  'messaging.destination.name': text(SUBJECT),
  'messaging.destination.template': text(TEMPLATE),
  'messaging.message.id': text(RECORD_ID),
  'messaging.message.conversation_id': text(RECORD_ID),
  'messaging.message.body.size': COUNT,

  'http.response.status_code': COUNT,

  'gen_ai.operation.name': text(/^(?:chat|invoke_agent|execute_tool|retrieval)$/),
  'gen_ai.provider.name': text(NAME),
  'gen_ai.agent.id': text(NAME),
  'gen_ai.agent.name': text(NAME),
  'gen_ai.agent.identity.id': text(SPIFFE_ID),
  'gen_ai.request.model': text(NAME),
  'gen_ai.request.max_tokens': COUNT,
  'gen_ai.response.finish_reasons': { type: 'strings', pattern: NAME },
  'gen_ai.usage.input_tokens': COUNT,
  'gen_ai.usage.output_tokens': COUNT,
  'gen_ai.tool.name': text(NAME),
  'gen_ai.tool.type': text(/^function$/),

  'mcp.method.name': text(NAME),

  'db.system.name': text(NAME),
  'db.collection.name': text(NAME),
  'db.operation.name': text(NAME),
  'db.response.returned_rows': COUNT,

  'tls.client.hash.sha256': text(/^[0-9A-F]{64}$/),
  'tls.client.not_after': text(TIME),
  /** Serial number of an SVID, lower-case hex. */
  'spiffe.svid.serial': text(HEX),

  /** Part of the city works that an order is for. */
  'city.works': text(NAME),
} as const satisfies Record<string, Shape>;

/** Of the resource: the process that a span is from, as the supervisor knows it. */
export const RESOURCE_ATTRIBUTES = [
  'service.name',
  'service.namespace',
  'service.instance.id',
  'spiffe.id',
] as const;

export type AttributeName = keyof typeof ATTRIBUTES;
export type AttributeValue = string | number | boolean | readonly string[];
export type Values = Partial<Record<AttributeName, AttributeValue | undefined>>;

const MAX_STRINGS = 8;

/** Whether a name is in the registry and the value fits it; for foreign spans. */
export function isAttribute(name: string, value: unknown): value is AttributeValue {
  if (!Object.hasOwn(ATTRIBUTES, name)) return false;
  const shape: Shape = ATTRIBUTES[name as AttributeName];
  switch (shape.type) {
    case 'string':
      return typeof value === 'string' && shape.pattern.test(value);
    case 'strings':
      return (
        Array.isArray(value) &&
        value.length <= MAX_STRINGS &&
        value.every((one) => typeof one === 'string' && shape.pattern.test(one))
      );
    case 'count':
      return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
    case 'boolean':
      return typeof value === 'boolean';
    default:
      return shape satisfies never;
  }
}

/** The one way by which attributes get on a span: what is undefined or does not fit stays out. */
export function attributes(values: Values): Record<string, string | number | boolean | string[]> {
  const fitting: Record<string, string | number | boolean | string[]> = {};
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined || !isAttribute(name, value)) continue;
    fitting[name] = typeof value === 'object' ? [...value] : value;
  }
  return fitting;
}
