import { findingSchema } from '#agents/finding.ts';
import { fromBytes } from '#agents/json.ts';
import { readingSchema } from '#agents/reading.ts';
import { parseAck } from '#custody/ack.ts';
import type { LedgerEntry, RecordEntry } from '#custody/ledger/entry.ts';
import { pathOf } from '#identity/spiffe-id.ts';
import { paint, print } from './output.ts';
import type { RunningSwarm } from './wiring/swarm.ts';

/** One line about one thing that the ledger holds or the supervisor observed. */
export interface Story {
  readonly what: string;
  readonly who: string;
  readonly text: string;
}

/** What an entry says, for the kinds of entry that a person follows; the others give nothing. */
export function storyOf(entry: LedgerEntry): Story | undefined {
  if (entry.type === 'refusal') {
    const { code, presented_by: by, subject } = entry.refusal;
    return { what: 'refused', who: by, text: `${code} on ${subject}, by the ledger` };
  }
  if (entry.type === 'equivocation') {
    return { what: 'forked', who: nameOf(entry), text: 'signed one sequence number twice' };
  }
  const { claims } = entry.record;
  const payload = entry.payload;
  if (payload === undefined) return undefined;
  if (claims.knd === 'ack') {
    const ack = parseAck(payload);
    if (!ack.ok || ack.value.type !== 'refusal') return undefined;
    const { code, presented_by: by, subject, count } = ack.value;
    const times = count > 1 ? `, ${count} times` : '';
    return { what: 'refused', who: by, text: `${code} on ${subject}${times}` };
  }
  switch (claims.sbj.split('.')[1]) {
    case 'finding':
      return findingStory(entry, payload);
    case 'mcp':
      return claims.knd === 'act'
        ? { what: 'action', who: nameOf(entry), text: orderOf(payload) }
        : undefined;
    default:
      return claims.knd === 'tool.result' ? denialStory(entry, payload) : undefined;
  }
}

function nameOf(entry: Pick<RecordEntry, 'record'>): string {
  return pathOf(entry.record.claims.iss).split('/').at(-1) ?? '';
}

function findingStory(entry: RecordEntry, payload: Uint8Array): Story | undefined {
  const finding = findingSchema.safeParse(fromBytes(payload));
  if (!finding.success) return undefined;
  const { score, runbook, model, degraded } = finding.data;
  const parts = [
    `${score.toFixed(1)} MAD off`,
    runbook === null ? 'no runbook' : `runbook ${runbook}`,
    model === null ? 'no model' : `model ${model}`,
    ...(degraded.length > 0 ? [`without ${degraded.join(', ')}`] : []),
  ];
  return { what: 'finding', who: nameOf(entry), text: parts.join(', ') };
}

/** Tool and arguments of an MCP order, as they were signed. */
export function orderOf(payload: Uint8Array): string {
  const request = fromBytes(payload) as { body?: string } | undefined;
  try {
    const { params } = JSON.parse(request?.body ?? '') as {
      params: { name: string; arguments: Record<string, unknown> };
    };
    const given = Object.entries(params.arguments).map(([name, value]) => `${name}=${value}`);
    return [params.name, ...given].join(' ');
  } catch {
    return 'an order that cannot be read';
  }
}

/** A service's refusal is an answer like any other: signed, and in the ledger. */
function denialStory(entry: RecordEntry, payload: Uint8Array): Story | undefined {
  const answer = fromBytes(payload) as { status?: number; body?: string } | undefined;
  if (answer?.status !== 403) return undefined;
  try {
    const { error } = JSON.parse(answer.body ?? '') as { error: { code: string } };
    return {
      what: 'denied',
      who: nameOf(entry),
      text: `${error.code} to ${entry.record.claims.aud[0]}`,
    };
  } catch {
    return undefined;
  }
}

export function readingValue(payload: Uint8Array): string | undefined {
  const reading = readingSchema.safeParse(fromBytes(payload));
  if (!reading.success || reading.data.type !== 'reading') return undefined;
  return `${reading.data.measure} ${reading.data.value}`;
}

/** Prints the swarm's story as it happens. Returns the function that stops it. */
export function narrate(running: RunningSwarm, options: { readonly json: boolean }): () => void {
  const began = performance.now();
  const line = (what: string, who: string, text: string): void => {
    const seconds = Math.floor((performance.now() - began) / 1000);
    const at = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`;
    if (options.json) {
      print(JSON.stringify({ at: new Date().toISOString(), what, who, text }));
      return;
    }
    const colour = what === 'refused' || what === 'denied' || what === 'forked' ? 'red' : 'cyan';
    print(`${at} ${paint(colour, what.padEnd(11))} ${who.padEnd(12)} ${text}`);
  };
  const stops = [
    running.ledger.onEntry((entry) => {
      const story = storyOf(entry);
      if (story !== undefined) line(story.what, story.who, story.text);
    }),
    running.onEvent((event) => {
      if (event.type === 'exited' && !event.expected) {
        line('ended', event.name, `${event.signal ?? event.code}: ${event.detail}`.slice(0, 100));
      }
      if (event.type === 'ready') line('ready', event.name, `pid ${event.pid}`);
      if (event.type === 'quarantined') line('quarantine', event.name, event.detail);
    }),
  ];
  return () => {
    for (const stop of stops) stop();
  };
}
