import type { BusRequest, BusResponse } from '#bus/http-message.ts';
import type { Verified } from '#bus/verified.ts';
import type { RecordId, RecordKind, ToolClaim } from '#custody/record.ts';
import type { Outcome, Refused } from '#identity/outcome.ts';

export interface OutgoingMessage {
  readonly kind: string;
  /** SPIFFE IDs or role patterns. */
  readonly audience: readonly string[];
  readonly causes: readonly RecordId[];
  readonly payload: Uint8Array;
  readonly recordKind: RecordKind;
}

export interface ServiceRequest {
  readonly service: string;
  readonly request: BusRequest;
  readonly causes: readonly RecordId[];
  readonly recordKind: 'tool.call' | 'act';
  /** On an `act`: `model` names the tool. */
  readonly tool?: ToolClaim;
  readonly timeoutMs: number;
}

/** An answer whose record was verified as the service's, to this very request. */
export interface ServiceAnswer {
  readonly ok: true;
  readonly payload: BusResponse;
  /** What follows from the answer names it as a cause. */
  readonly recordId: RecordId;
}

/** What an agent needs of the bus, which signs, keeps, repeats and checks. */
export interface AgentBus {
  /** Resolves when there was room for the message and it is on its way: back-pressure. */
  send(message: OutgoingMessage): Promise<unknown>;
  /** Hands verified messages over in order; each is acknowledged when the handler resolves. */
  consume(consumption: {
    readonly kind: string;
    readonly handler: (message: Verified<Uint8Array>) => Promise<void>;
  }): { close(): Promise<void> };
  request(request: ServiceRequest): Promise<ServiceAnswer | Refused>;
  /** Resolves when every message sent was acknowledged and every record is in the ledger. */
  flush(): Promise<void>;
}

/** What a tool answered; `done: false` is a refusal that the tool server itself gave. */
export type ToolAnswer =
  | { readonly done: true; readonly result: Readonly<Record<string, unknown>> }
  | { readonly done: false; readonly refusal: { readonly code: string; readonly message: string } };

/** Calls an MCP tool as an `act` with these causes. Not `ok`: nobody knows whether it was applied. */
export type CallTool = (
  name: string,
  given: Readonly<Record<string, unknown>>,
  causes: readonly RecordId[],
) => Promise<Outcome<ToolAnswer>>;
