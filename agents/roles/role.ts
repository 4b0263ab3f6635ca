import type { BusRequest, BusResponse } from '#bus/http-message.ts';
import type { RecordId, RecordKind } from '#custody/record.ts';
import type { ToolAnswer } from '../bus.ts';
import type { AgentCode } from '../codes.ts';
import type { SourceItem } from '../sources/source.ts';

/** A verified message, reduced to what a role may decide by. */
export interface RoleMessage {
  readonly recordId: RecordId;
  /** Token of the sender, proven by its signature. */
  readonly sender: string;
  readonly kind: string;
  readonly payload: Uint8Array;
}

/** What happened to an agent. `ref` is the intent's that it answers. */
export type AgentEvent =
  | { readonly kind: 'input'; readonly source: string; readonly item: SourceItem }
  | { readonly kind: 'message'; readonly message: RoleMessage }
  | {
      readonly kind: 'result';
      readonly ref: string;
      readonly response: BusResponse;
      readonly recordId: RecordId;
    }
  | { readonly kind: 'acted'; readonly ref: string; readonly answer: ToolAnswer }
  | {
      readonly kind: 'failure';
      readonly ref: string;
      readonly code: string;
      readonly detail: string;
    };

/** What an agent wants done. The loop does it and reports `call` and `tool` back as events. */
export type Intent =
  | {
      readonly kind: 'publish';
      readonly message: string;
      readonly recordKind: RecordKind;
      readonly causes: readonly RecordId[];
      readonly payload: Uint8Array;
    }
  | {
      readonly kind: 'call';
      readonly ref: string;
      readonly service: string;
      readonly request: BusRequest;
      readonly causes: readonly RecordId[];
      readonly timeoutMs: number;
    }
  | {
      readonly kind: 'tool';
      readonly ref: string;
      readonly tool: string;
      readonly arguments: Readonly<Record<string, unknown>>;
      readonly causes: readonly RecordId[];
      readonly timeoutMs: number;
    }
  | { readonly kind: 'note'; readonly code: AgentCode; readonly detail: string };

export interface Step<State> {
  readonly state: State;
  readonly intents: readonly Intent[];
}

/** A role is a first state and a pure step; nothing in it reads a clock, a file or a socket. */
export interface Role<State> {
  readonly initial: State;
  step(state: State, event: AgentEvent): Step<State>;
  /** Figures of the state for the status report. */
  status(state: State): Readonly<Record<string, number>>;
}

/** Notes carry foreign text only through `inert`; their number is bounded by their causes. */
export function note(code: AgentCode, detail: string): Intent {
  return { kind: 'note', code, detail };
}

/** A map with one more entry; the oldest go when it exceeds the limit. */
export function remember<K, V>(map: ReadonlyMap<K, V>, key: K, value: V, limit: number): Map<K, V> {
  const next = new Map(map);
  next.delete(key);
  next.set(key, value);
  while (next.size > limit) next.delete(next.keys().next().value as K);
  return next;
}

export function forget<K, V>(map: ReadonlyMap<K, V>, key: K): Map<K, V> {
  const next = new Map(map);
  next.delete(key);
  return next;
}
