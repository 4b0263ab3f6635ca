/** Every span's name: a verb of this list, and for most what it is about, as the registry spells it. */
export const SPANS = {
  /** A message to a stream; `{district}.{kind}.{sender}`. */
  send: (kind: string) => `send ${streamTemplate(kind)}`,
  process: (kind: string) => `process ${streamTemplate(kind)}`,
  request: (service: string) => `request ${serviceTemplate(service)}`,
  answer: (service: string) => `answer ${serviceTemplate(service)}`,
  invokeAgent: (role: string) => `invoke_agent ${role}`,
  chat: (model: string) => `chat ${model}`,
  retrieval: (collection: string) => `retrieval ${collection}`,
  executeTool: (tool: string) => `execute_tool ${tool}`,
  order: (works: string) => `order ${works}`,
  refuse: (what: 'message' | 'admission') => `refuse ${what}`,
  renew: () => 'renew svid',
} as const;

/** Names of events on spans. */
export const EVENTS = { decision: 'policy.decision', refusal: 'service.refusal' } as const;

const SPAN_NAME =
  /^(?:send|process|request|answer|invoke_agent|chat|retrieval|execute_tool|order|refuse|renew) [A-Za-z0-9{][A-Za-z0-9{}._:/-]{0,159}$/;
const EVENT_NAMES: ReadonlySet<string> = new Set(Object.values(EVENTS));

export function streamTemplate(kind: string): string {
  return `{district}.${kind}.{sender}`;
}

export function serviceTemplate(service: string): string {
  return `svc.${service}.{caller}`;
}

/** A name that does not fit loses all but its verb. */
export function spanName(name: string): string {
  return isSpanName(name) ? name : `${name.slice(0, name.indexOf(' '))} {unnamed}`;
}

export function isSpanName(name: string): boolean {
  return SPAN_NAME.test(name);
}

export function isEventName(name: string): boolean {
  return EVENT_NAMES.has(name);
}
