import { channel, type TracingChannel, tracingChannel } from 'node:diagnostics_channel';
import type { RecordId, SignedRecord } from '#custody/record.ts';
import type { SpiffeId } from '#identity/spiffe-id.ts';
import type { X509Svid } from '#identity/svid.ts';
import type { RequestResult } from './client/requester.ts';
import type { DoorRefusal } from './door.ts';
import type { BusRequest } from './http-message.ts';
import type { Verified } from './verified.ts';

/**
 * What the layers tell whoever watches, over Node's diagnostics channels. Nothing here is evidence,
 * and nobody who publishes knows whether anybody listens: what must be known goes to the ledger.
 * A hop with a start and an end is a tracing channel, whose message the publisher completes.
 */
export interface Hop {
  /** Set by the tracing channel when the work threw or rejected. */
  readonly error?: unknown;
}

/** A message to a stream, from its draft until it was handed to the broker and the ledger. */
export interface SendHop extends Hop {
  /** Own identity, where it is proven by an SVID. */
  readonly identity: SpiffeId | undefined;
  readonly kind: string;
  /** Bytes of the payload. */
  readonly size: number;
  record?: Pick<SignedRecord, 'id' | 'claims'>;
}

/** A verified message, while its handler runs. */
export interface ProcessHop extends Hop {
  readonly identity: SpiffeId | undefined;
  readonly kind: string;
  readonly message: Verified<Uint8Array>;
}

/** A request to a service, until its answer is verified or given up. */
export interface RequestHop extends Hop {
  readonly identity: SpiffeId | undefined;
  readonly service: string;
  readonly size: number;
  record?: Pick<SignedRecord, 'id' | 'claims'>;
  /** Set by the tracing channel. */
  readonly result?: RequestResult;
}

/** A verified request, until its answer is signed. */
export interface AnswerHop extends Hop {
  readonly identity: SpiffeId | undefined;
  readonly service: string;
  readonly request: Verified<BusRequest>;
  response?: { readonly status: number; readonly record: RecordId };
}

/** A door refused a message. */
export interface RefusedNote {
  readonly identity: SpiffeId | undefined;
  readonly refusal: Pick<DoorRefusal, 'code' | 'signedBy' | 'recordId' | 'subject'>;
  /** Token of the member whom the broker let publish it; of nobody else. */
  readonly presenter: string | undefined;
}

/** The connection changed to a new SVID. */
export interface RenewedNote {
  readonly identity: SpiffeId | undefined;
  readonly svid: Pick<X509Svid, 'notAfter' | 'serial' | 'thumbprint'>;
}

/** Who admits to the swarm refused somebody: a gate, the broker, or the issuer. */
export interface AdmissionRefusedNote {
  readonly code: string;
  /** Where: `gate-a`, `workload-api`, `broker`. */
  readonly at: string;
  /** Whose refusal it is, where that is proven. */
  readonly peer?: SpiffeId;
  readonly record?: RecordId;
}

/** An agent's whole work on one message: its calls, their answers, what it says in the end. */
export interface InvokeHop extends Hop {
  readonly recordId: RecordId;
  readonly causes: readonly RecordId[];
}

export interface ChatHop extends Hop {
  /** A model that this service serves. */
  readonly model: string;
  readonly provider: string;
  readonly maxTokens: number | undefined;
  refused?: string;
  usage?: { readonly input: number; readonly output: number };
  finish?: string;
}

export interface RetrievalHop extends Hop {
  /** A collection that this service has. */
  readonly collection: string;
  refused?: string;
  rows?: number;
}

export interface ToolHop extends Hop {
  /** A tool that this service has. */
  readonly tool: string;
  readonly method: string;
  refused?: string;
}

/** An order that the city works were given. */
export interface OrderHop extends Hop {
  readonly works: string;
  refused?: string;
}

/** Policy decided about the request at hand. */
export interface DecisionNote {
  readonly id: string;
  readonly allow: boolean;
  readonly revision: string;
  /** Names of the checks that failed. */
  readonly reasons: readonly string[];
  readonly code: string | undefined;
}

/** A service refused the request at hand, for another reason than policy. */
export interface ServiceRefusedNote {
  readonly code: string;
}

type Traced<M extends object> = TracingChannel<unknown, M>;

function traced<M extends object>(name: string): Traced<M> {
  return tracingChannel<unknown, M>(name);
}

/** All channels: name → who publishes on it. */
export const CHANNELS = {
  send: traced<SendHop>('swarmproof.bus.send'),
  process: traced<ProcessHop>('swarmproof.bus.process'),
  request: traced<RequestHop>('swarmproof.bus.request'),
  answer: traced<AnswerHop>('swarmproof.bus.answer'),
  invoke: traced<InvokeHop>('swarmproof.agent.invoke'),
  chat: traced<ChatHop>('swarmproof.service.chat'),
  retrieval: traced<RetrievalHop>('swarmproof.service.retrieval'),
  tool: traced<ToolHop>('swarmproof.service.tool'),
  order: traced<OrderHop>('swarmproof.service.order'),
} as const;

/** Single events; the message type stands beside each name. */
export const NOTES = {
  /** RefusedNote */
  refused: channel('swarmproof.bus.refused'),
  /** RenewedNote */
  renewed: channel('swarmproof.bus.renewed'),
  /** AdmissionRefusedNote */
  admissionRefused: channel('swarmproof.swarm.admission-refused'),
  /** DecisionNote */
  decision: channel('swarmproof.service.decision'),
  /** ServiceRefusedNote */
  serviceRefused: channel('swarmproof.service.refused'),
} as const;

export interface NoteMessages {
  readonly refused: RefusedNote;
  readonly renewed: RenewedNote;
  readonly admissionRefused: AdmissionRefusedNote;
  readonly decision: DecisionNote;
  readonly serviceRefused: ServiceRefusedNote;
}

/** Tells whoever watches; costs a look at the channel when nobody does. */
export function note<N extends keyof NoteMessages>(name: N, message: NoteMessages[N]): void {
  const to = NOTES[name];
  if (to.hasSubscribers) to.publish(message);
}
