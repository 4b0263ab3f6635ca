import { findingSchema } from '#agents/finding.ts';
import { fromBytes } from '#agents/json.ts';
import { inert } from '#agents/text.ts';
import type { LedgerEntry, RecordEntry } from '#custody/ledger/entry.ts';
import { pathOf } from '#identity/spiffe-id.ts';
import { NO_PID } from '#runtime/launcher/running.ts';
import type { ProcessEvent } from '#runtime/supervisor/status.ts';
import { isAgentAct, refusalOf } from './entries.ts';
import { failureOf, readAnswer } from './payload.ts';
import { tell } from './tell.ts';

/** One line about one thing that the ledger holds or the supervisor observed. */
export interface Story {
  readonly what: string;
  readonly who: string;
  readonly text: string;
  readonly tone: 'plain' | 'warning' | 'bad';
}

const MAX_TEXT = 160;

/** What an entry says, for the kinds of entry that a person follows; the others give nothing. */
export function storyOf(entry: LedgerEntry): Story | undefined {
  if (entry.type === 'equivocation') {
    const text = 'signed one sequence number twice';
    return { what: 'forked', who: nameOf(entry), text, tone: 'bad' };
  }
  const refusal = refusalOf(entry);
  if (refusal !== undefined) {
    const { code, presented_by: by, subject, count } = refusal;
    const place = entry.type === 'refusal' ? ', by the ledger' : '';
    const times = count > 1 ? `, ${count} times` : '';
    const text = inert(`${code} on ${subject}${times}${place}`, MAX_TEXT);
    return { what: 'refused', who: inert(lastOf(by), 40), text, tone: 'bad' };
  }
  if (entry.type !== 'record' || entry.payload === undefined) return undefined;
  const { claims } = entry.record;
  if (claims.knd === 'tool.result') return answerStory(entry, entry.payload);
  const { payload } = entry;
  const { text } = tell(claims, payload);
  const who = nameOf(entry);
  if (isAgentAct(entry)) return { what: 'action', who, text, tone: 'plain' };
  if (claims.knd === 'revoke') return { what: 'revoked', who, text, tone: 'warning' };
  if (claims.knd === 'msg' && claims.sbj.split('.')[1] === 'finding') {
    return findingStory(who, payload);
  }
  return undefined;
}

function nameOf(entry: Pick<RecordEntry, 'record'>): string {
  return lastOf(pathOf(entry.record.claims.iss));
}

function lastOf(path: string): string {
  return path.split('/').at(-1) ?? '';
}

function findingStory(who: string, payload: Uint8Array): Story | undefined {
  const finding = findingSchema.safeParse(fromBytes(payload));
  if (!finding.success) {
    return { what: 'finding', who, text: 'a finding that cannot be read', tone: 'warning' };
  }
  const { score, runbook, model, degraded } = finding.data;
  const parts = [
    `${score.toFixed(1)} MAD off`,
    runbook === null ? 'no runbook' : `runbook ${runbook}`,
    model === null ? 'no model' : `model ${model}`,
    ...(degraded.length > 0 ? [`degraded: without ${degraded.join(', ')}`] : []),
  ];
  const tone = degraded.length > 0 ? 'warning' : 'plain';
  return { what: 'finding', who, text: inert(parts.join(', '), MAX_TEXT), tone };
}

/** A service's refusal is an answer like any other: signed, and in the ledger. */
function answerStory(entry: RecordEntry, payload: Uint8Array): Story | undefined {
  const answer = readAnswer(payload);
  const failure = answer && failureOf(answer);
  if (answer === undefined || failure === undefined) return undefined;
  const to = lastOf(entry.record.claims.aud[0] ?? '');
  const rule = answer.decision?.allow === false ? ` (${answer.decision.reasons[0] ?? ''})` : '';
  const text = inert(`${failure.code}${rule}, to ${to}`, MAX_TEXT);
  const denied = answer.decision?.allow === false;
  return { what: denied ? 'denied' : 'failed', who: nameOf(entry), text, tone: 'bad' };
}

const pidText = (pid: number): string => (pid === NO_PID ? 'run by somebody else' : `pid ${pid}`);

/** What happened to a process, for the events that are no part of an orderly start and stop. */
export function storyOfEvent(event: ProcessEvent): Story | undefined {
  const who = inert(event.name, 40);
  switch (event.type) {
    case 'started':
      return undefined;
    case 'ready':
      return { what: 'ready', who, text: pidText(event.pid), tone: 'plain' };
    case 'quarantined':
      return { what: 'quarantine', who, text: inert(event.detail, MAX_TEXT), tone: 'bad' };
    case 'exited': {
      if (event.expected) return undefined;
      // What somebody else runs tells no code when it ends.
      const code = event.code === null ? [] : [`exit code ${event.code}`];
      const how = event.signal === null ? code : [event.signal];
      const said = event.detail === '' ? [] : [event.detail];
      const text = inert([...how, ...said].join(': '), MAX_TEXT);
      return { what: 'ended', who, text, tone: 'warning' };
    }
    case 'start-failed':
      return { what: 'no start', who, text: inert(event.detail, MAX_TEXT), tone: 'bad' };
    case 'restarting': {
      const text = `in ${(event.inMs / 1000).toFixed(1)} s, restart ${event.restarts}`;
      return { what: 'restart', who, text, tone: 'warning' };
    }
    default:
      return event satisfies never;
  }
}
