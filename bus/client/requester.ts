import type { RecordId, SignedRecord, ToolClaim } from '#custody/record.ts';
import { type Refused, refuse } from '#identity/outcome.ts';
import type { DoorCode, RequestCode } from '../codes.ts';
import type { Directory, Member } from '../directory.ts';
import { type Channel, type DoorRefusal, withPayload } from '../door.ts';
import {
  type BusRequest,
  type BusResponse,
  encodeRequest,
  parseResponse,
} from '../http-message.ts';
import { replySubject, requestSubject } from '../subjects.ts';
import { CHANNELS, type RequestHop } from '../telemetry.ts';
import type { Verified } from '../verified.ts';
import { type Propagate, REFUSED_HEADER, recordHeaders, underTrace } from './envelope.ts';
import type { BusLink } from './link.ts';
import type { Incoming } from './nats.ts';
import type { Signing } from './signing.ts';

export interface RequestDraft {
  /** Name of the service (`llm`, `mcp`, `ledger`). */
  readonly service: string;
  readonly request: BusRequest;
  readonly causes?: readonly RecordId[];
  readonly recordKind: 'tool.call' | 'act';
  /** Required for an `act`: `model` names the tool that acts. */
  readonly tool?: ToolClaim;
  readonly timeoutMs: number;
}

export type RequestResult =
  | (Verified<BusResponse> & { readonly requestId: RecordId })
  | Refused<DoorCode | RequestCode>;

export interface Requester {
  request(draft: RequestDraft): Promise<RequestResult>;
  onReply(message: Incoming): void;
  close(): void;
  status(): { readonly open: number; readonly answered: number; readonly failed: number };
}

interface Pending {
  readonly record: SignedRecord;
  readonly responder: Member;
  readonly settle: (result: RequestResult | 'again' | 'absent') => void;
}

/** Codes after which the same request, signed anew and with its chain, can pass. */
const AGAIN: ReadonlySet<string> = new Set([
  'RECORD_CHAIN_UNKNOWN',
  'RECORD_SVID_NOT_LOGGED',
  'RECORD_SEQUENCE_REGRESSED',
  'RECORD_BEFORE_START',
  'RECORD_EXPIRED',
  'RECORD_REPLAY_CACHE_FULL',
]);
const MAX_AGAIN = 3;
const ABSENT_PAUSE_MS = 150;
/** A record lives 30 s; one that found nobody for this long is signed anew. */
const STALE_MS = 20_000;

async function withDeadline<T>(work: Promise<T>, ms: number): Promise<T | 'late'> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), Math.max(0, ms));
  });
  const result = await Promise.race([work, late]);
  clearTimeout(timer);
  return result;
}

function hintOf({ headers }: Incoming): string | undefined {
  if (headers === undefined || headers === 'malformed') return undefined;
  for (const [name, values] of headers) if (name === REFUSED_HEADER) return values[0];
  return undefined;
}

/** Requests to services: only the pinned responder's answer to this very record is accepted. */
export function createRequester(options: {
  readonly link: BusLink;
  readonly self: Member;
  readonly directory: Directory;
  readonly channel: Channel;
  readonly signing: Pick<Signing, 'soon'>;
  readonly submit: (record: SignedRecord, payload: Uint8Array) => Promise<void>;
  readonly nonce: () => string;
  readonly onRefusal: (refusal: DoorRefusal) => void;
  readonly propagate?: Propagate | undefined;
}): Requester {
  const { link, self, directory, channel } = options;
  const pending = new Map<string, Pending>();
  const count = { answered: 0, failed: 0 };
  let closed = false;

  function responderOf(service: string): Member | undefined {
    return directory.byToken(`service-${service}`) ?? directory.byToken(`platform-${service}`);
  }

  /** One record, published until somebody is there to receive it; `again`: sign anew. */
  async function attempt(
    draft: RequestDraft,
    responder: Member,
    payload: Uint8Array,
    until: number,
    hop: RequestHop,
  ): Promise<RequestResult | 'again'> {
    const subject = requestSubject(draft.service, self);
    const reply = replySubject(self, draft.service, options.nonce());
    const trace = options.propagate?.inject();
    const started = performance.now();
    function ask(record: SignedRecord): Promise<RequestResult | 'again' | 'absent'> {
      const { promise, resolve } = Promise.withResolvers<RequestResult | 'again' | 'absent'>();
      pending.set(reply, { record, responder, settle: resolve });
      link.publish({
        subject,
        reply,
        payload,
        headers: recordHeaders(record, { chain: true, trace }),
      });
      return promise;
    }
    const use = (record: SignedRecord) => {
      hop.record = record;
      // Into the ledger before anything is done about it, and whether or not it is answered.
      void options.submit(record, payload).catch(() => undefined);
      return { record, answered: ask(record) };
    };
    const recordDraft = {
      aud: [responder.id],
      sbj: subject,
      rpl: reply,
      knd: draft.recordKind,
      par: draft.causes ?? [],
      payload,
      ...(draft.tool === undefined ? {} : { tool: draft.tool }),
    };
    try {
      let { record, answered } = await options.signing.soon(recordDraft, use);
      for (;;) {
        const result = await withDeadline(answered, until - performance.now());
        if (result === 'late') {
          return refuse('REQUEST_TIMED_OUT', `no answer from ${draft.service} in time`);
        }
        if (result !== 'absent') return result;
        // Nobody received it, so the same record goes again: an act stays one act.
        const left = until - performance.now();
        if (left <= ABSENT_PAUSE_MS) {
          return refuse('REQUEST_NO_RESPONDER', `no instance of ${draft.service} is connected`);
        }
        await new Promise((resolve) => setTimeout(resolve, ABSENT_PAUSE_MS));
        if (closed) return refuse('REQUEST_CLOSED', 'the client was closed');
        if (performance.now() - started > STALE_MS) return 'again';
        answered = ask(record);
      }
    } finally {
      pending.delete(reply);
    }
  }

  async function request(
    draft: RequestDraft,
    responder: Member,
    payload: Uint8Array,
    hop: RequestHop,
  ): Promise<RequestResult> {
    const until = performance.now() + draft.timeoutMs;
    for (let tries = 0; tries <= MAX_AGAIN; tries += 1) {
      if (closed) return refuse('REQUEST_CLOSED', 'the client was closed');
      const result = await attempt(draft, responder, payload, until, hop);
      if (result !== 'again') return result;
    }
    return refuse('REQUEST_REFUSED_BY_PEER', `${draft.service} cannot judge the request`);
  }

  return {
    async request(draft) {
      const responder = responderOf(draft.service);
      if (responder === undefined) throw new Error(`no service "${draft.service}" in the swarm`);
      const payload = encodeRequest(draft.request);
      const { service } = draft;
      const hop: RequestHop = { identity: self.id, service, size: payload.length };
      const work = () => request(draft, responder, payload, hop);
      const result = await CHANNELS.request.tracePromise(work, hop);
      if (result.ok) count.answered += 1;
      else count.failed += 1;
      return result;
    },
    onReply(message) {
      const waiting = pending.get(message.subject);
      if (waiting === undefined) return;
      // The server itself says that nobody subscribes; to deny is all it could do with it.
      if (message.status === 503) {
        waiting.settle('absent');
        return;
      }
      const hint = hintOf(message);
      if (hint !== undefined) {
        const refused = refuse('REQUEST_REFUSED_BY_PEER' as const, `the service says ${hint}`);
        waiting.settle(AGAIN.has(hint) ? 'again' : refused);
        return;
      }
      const { responder, record } = waiting;
      const verdict = channel.check(message, { signer: responder.id, parent: record.id });
      const parsed = verdict.ok ? withPayload(verdict, parseResponse) : verdict;
      if (parsed.ok) {
        waiting.settle({ ...parsed, requestId: record.id });
        return;
      }
      // A forged answer is reported, and the genuine one may still come.
      underTrace(options.propagate, message.headers, () => options.onRefusal(parsed));
      if (parsed.code === 'DOOR_PAYLOAD_INVALID') waiting.settle(parsed);
    },
    close() {
      closed = true;
      for (const { settle } of pending.values()) {
        settle(refuse('REQUEST_CLOSED', 'the client was closed'));
      }
    },
    status: () => ({ open: pending.size, ...count }),
  };
}
