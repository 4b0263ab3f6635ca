import type { RecordId, SignedRecord, ToolClaim } from '#custody/record.ts';
import type { Member } from '../directory.ts';
import { type Channel, type DoorRefusal, withPayload } from '../door.ts';
import {
  type BusRequest,
  type BusResponse,
  encodeResponse,
  parseRequest,
} from '../http-message.ts';
import { serviceQueue } from '../subjects.ts';
import { type AnswerHop, CHANNELS } from '../telemetry.ts';
import type { Verified } from '../verified.ts';
import { type Propagate, REFUSED_HEADER, recordHeaders, underTrace } from './envelope.ts';
import type { BusLink } from './link.ts';
import type { Incoming } from './nats.ts';
import type { Signing } from './signing.ts';

/** What a service answers; `causes` are further records that the answer rests on. */
export interface ServiceAnswer {
  readonly response: BusResponse;
  readonly tool?: ToolClaim;
  readonly causes?: readonly RecordId[];
}

export interface ServeOptions {
  /** The service's name in `svc.<service>.<caller>`. */
  readonly service: string;
  readonly handler: (request: Verified<BusRequest>) => Promise<ServiceAnswer>;
  /** Requests handled at a time; default 32. */
  readonly concurrency?: number;
}

export interface Responder {
  status(): { readonly active: number; readonly answered: number; readonly failed: number };
  /** Takes no more requests, and answers those it has. */
  close(): Promise<void>;
}

const DEFAULT_CONCURRENCY = 32;
const MAX_WAITING = 1024;
const MAX_CAUSES = 16;
const FAILED: BusResponse = {
  status: 500,
  contentType: 'application/json',
  body: '{"error":"internal"}',
};

export function createResponder(
  options: ServeOptions & {
    readonly link: BusLink;
    readonly self: Member;
    readonly channel: Channel;
    readonly signing: Pick<Signing, 'soon'>;
    readonly submit: (record: SignedRecord, payload: Uint8Array) => Promise<void>;
    readonly onRefusal: (refusal: DoorRefusal) => void;
    /** More causes than fit: gathered by `join` records. */
    readonly join: (causes: readonly RecordId[], most: number) => readonly RecordId[];
    readonly propagate?: Propagate | undefined;
  },
): Responder {
  const { link, self, channel, service } = options;
  const concurrency = options.concurrency ?? DEFAULT_CONCURRENCY;
  const waiting: (() => Promise<void>)[] = [];
  const count = { answered: 0, failed: 0 };
  let active = 0;
  let idle: (() => void)[] = [];

  /** A hint, unsigned: it lets the caller try again, and can do no more than silence could. */
  function hint(message: Incoming, caller: string | undefined, code: string): void {
    const parts = (message.reply ?? '').split('.');
    // Only into the inbox of whom the broker let publish the request: never a reflector.
    if (parts.length !== 4 || parts[0] !== '_INBOX' || parts[1] !== caller) return;
    if (message.reply === undefined || parts[2] !== service) return;
    link.publish({
      subject: message.reply,
      payload: new Uint8Array(),
      headers: [[REFUSED_HEADER, code]],
    });
  }

  async function answer(
    request: Verified<BusRequest>,
    reply: string,
    hop: AnswerHop,
  ): Promise<void> {
    let answer: ServiceAnswer;
    try {
      answer = await options.handler(request);
      count.answered += 1;
    } catch {
      // What went wrong inside is the service's own log's business, not the caller's.
      answer = { response: FAILED };
      count.failed += 1;
    }
    const payload = encodeResponse(answer.response);
    const more = options.join(answer.causes ?? [], MAX_CAUSES - 1);
    const trace = options.propagate?.inject();
    const draft = {
      aud: [request.signedBy],
      sbj: reply,
      knd: 'tool.result' as const,
      par: [...new Set([request.recordId, ...more])],
      payload,
      ...(answer.tool === undefined ? {} : { tool: answer.tool }),
    };
    const sent = await options.signing.soon(draft, (record) => {
      hop.response = { status: answer.response.status, record: record.id };
      const headers = recordHeaders(record, { chain: true, trace });
      link.publish({ subject: reply, payload, headers });
      return { submitted: options.submit(record, payload) };
    });
    await sent.submitted;
  }

  function next(): void {
    while (active < concurrency) {
      const work = waiting.shift();
      if (work === undefined) break;
      active += 1;
      void work()
        // Without an SVID nothing can be signed: the caller's time runs out.
        .catch(() => undefined)
        .finally(() => {
          active -= 1;
          next();
        });
    }
    if (active > 0) return;
    for (const resolve of idle) resolve();
    idle = [];
  }

  const stop = link.subscribe(`svc.${service}.*`, serviceQueue(service), (message) => {
    const verdict = channel.check(message);
    const parsed = verdict.ok ? withPayload(verdict, parseRequest) : verdict;
    if (!parsed.ok) {
      underTrace(options.propagate, message.headers, () => options.onRefusal(parsed));
      hint(message, parsed.presentedBy, parsed.code);
      return;
    }
    if (waiting.length >= MAX_WAITING) {
      hint(message, parsed.sender.token, 'SERVICE_OVERLOADED');
      return;
    }
    const reply = message.reply ?? '';
    const hop: AnswerHop = { identity: self.id, service, request: parsed };
    const work = () => CHANNELS.answer.tracePromise(() => answer(parsed, reply, hop), hop);
    waiting.push(() => underTrace(options.propagate, message.headers, work));
    next();
  });

  return {
    status: () => ({ active, ...count }),
    async close() {
      stop();
      // What the broker had already sent here is answered too.
      await link.flush();
      if (active === 0 && waiting.length === 0) return;
      await new Promise<void>((resolve) => {
        idle.push(resolve);
      });
    },
  };
}
