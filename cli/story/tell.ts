import { findingSchema } from '#agents/finding.ts';
import { fromBytes } from '#agents/json.ts';
import { readingSchema } from '#agents/reading.ts';
import { inert } from '#agents/text.ts';
import { parseAck } from '#custody/ack.ts';
import type { RecordClaims } from '#custody/record.ts';
import {
  failureOf,
  type Order,
  oneLine,
  readAnswer,
  readChat,
  readHits,
  readOrder,
  readRoute,
} from './payload.ts';

/** What a record says, in few words. `text` is inert: foreign text in it cannot act on a terminal. */
export interface Telling {
  readonly what: string;
  readonly text: string;
}

const MAX_TEXT = 300;
const MAX_LINE = 2000;

/** Tells one record from its claims and its payload; `undefined` as payload: it is withheld. */
export function tell(claims: RecordClaims, payload: Uint8Array | undefined): Telling {
  const { what, text } = raw(claims, payload);
  return { what: inert(what, 40), text: inert(text, MAX_TEXT) };
}

/** A payload on one inert line, for those who want to see what was signed. */
export function payloadLine(payload: Uint8Array): string {
  return inert(oneLine(payload), MAX_LINE);
}

export function orderText({ tool, arguments: given }: Order): string {
  const pairs = Object.entries(given).map(([name, value]) => `${name}=${valueText(value)}`);
  return inert([tool, ...pairs].join(' '), MAX_TEXT);
}

function valueText(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '?');
}

function raw(claims: RecordClaims, payload: Uint8Array | undefined): Telling {
  const { knd, sbj, tool } = claims;
  const name = sbj.split('.')[1] ?? knd;
  if (payload === undefined) return { what: kindOf(claims), text: 'payload withheld' };
  switch (knd) {
    case 'root':
    case 'msg':
      if (name === 'reading') return readingTelling(payload);
      if (name === 'finding') return findingTelling(payload);
      return { what: name, text: oneLine(payload) };
    case 'act':
    case 'tool.call': {
      const order = readOrder(payload);
      const what = knd === 'act' ? 'act' : 'call';
      if (order !== undefined) return { what, text: orderText(order) };
      const asked = `${name} ${readRoute(payload) ?? oneLine(payload)}`;
      return { what, text: tool === undefined ? asked : `${tool.model} by ${asked}` };
    }
    case 'tool.result':
      return resultTelling(claims, payload);
    case 'ack':
      return ackTelling(payload);
    case 'join':
      return { what: 'join', text: `of ${claims.par.length} causes` };
    case 'revoke':
      return { what: 'revoke', text: oneLine(payload) };
    default:
      return knd satisfies never;
  }
}

function kindOf({ knd, sbj }: RecordClaims): string {
  if (knd === 'root' || knd === 'msg') return sbj.split('.')[1] ?? knd;
  return knd === 'tool.call' ? 'call' : knd === 'tool.result' ? 'result' : knd;
}

function readingTelling(payload: Uint8Array): Telling {
  const reading = readingSchema.safeParse(fromBytes(payload)).data;
  if (reading === undefined) return { what: 'reading', text: `no reading: ${oneLine(payload)}` };
  if (reading.type === 'malformed') {
    return { what: 'reading', text: `row ${reading.row} malformed: ${reading.code}` };
  }
  return { what: 'reading', text: `${reading.measure} ${reading.value}, row ${reading.row}` };
}

function findingTelling(payload: Uint8Array): Telling {
  const finding = findingSchema.safeParse(fromBytes(payload)).data;
  if (finding === undefined) return { what: 'finding', text: `no finding: ${oneLine(payload)}` };
  const { measure, value, direction, score, runbook, proposal, degraded } = finding;
  const parts = [
    `${measure} ${value} ${direction}, ${score.toFixed(1)} MAD off`,
    ...(runbook === null ? [] : [`runbook ${runbook}`]),
    ...(proposal === null ? ['no proposal'] : []),
    ...(degraded.length === 0 ? [] : [`without ${degraded.join(', ')}`]),
  ];
  return { what: 'finding', text: parts.join(', ') };
}

function resultTelling({ sbj, tool }: RecordClaims, payload: Uint8Array): Telling {
  const service = sbj.split('.')[2] ?? '';
  const what = tool?.kind === 'chat' ? 'chat' : 'result';
  const answer = readAnswer(payload);
  if (answer === undefined) return { what, text: `${service}: ${oneLine(payload)}` };
  const failure = failureOf(answer);
  if (failure !== undefined) {
    const word = answer.decision?.allow === false ? 'denied' : 'refused';
    return { what, text: `${service} ${word}: ${failure.code}` };
  }
  // The gateway signs what the model said; the model itself signs nothing.
  if (tool?.kind === 'chat') {
    const said = readChat(answer.body);
    const words = typeof said === 'object' ? orderText(said) : (said ?? 'nothing');
    return { what, text: `${tool.model} (unsigned): ${words}` };
  }
  const found = service === 'vector' ? readHits(answer.body) : undefined;
  if (found !== undefined)
    return { what, text: `${service} found ${found.join(', ') || 'nothing'}` };
  return { what, text: tool === undefined ? `${service} done` : `${service} done: ${tool.model}` };
}

function ackTelling(payload: Uint8Array): Telling {
  const ack = parseAck(payload);
  if (!ack.ok) return { what: 'ack', text: `unreadable: ${oneLine(payload)}` };
  if (ack.value.type === 'refusal') {
    const { code, presented_by: by, count } = ack.value;
    return { what: 'refusal', text: `${code} by ${by}${count > 1 ? `, ${count} times` : ''}` };
  }
  const { to, through, rejected = [] } = ack.value;
  const of = to.split('/').at(-1) ?? to;
  const except = rejected.length === 0 ? '' : `, ${rejected.length} rejected`;
  return { what: 'ack', text: `${of} through ${through}${except}` };
}
