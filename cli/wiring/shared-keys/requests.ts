import { setTimeout as pause } from 'node:timers/promises';
import { errors, type Msg, type NatsConnection, type Subscription } from '@nats-io/transport-node';
import type { AgentBus, ServiceAnswer, ServiceRequest } from '#agents/bus.ts';
import { createPlaces } from '#bus/client/places.ts';
import type { Directory, Member } from '#bus/directory.ts';
import { encodeRequest, encodeResponse, parseRequest, parseResponse } from '#bus/http-message.ts';
import type { RecordId } from '#custody/record.ts';
import { type Refused, refuse } from '#identity/outcome.ts';
import type { Service } from '#services/service.ts';
import { believe } from './believe.ts';
import { encodeEnvelope, parseEnvelope, requestSubject } from './codec.ts';

interface RequestOptions {
  readonly nats: NatsConnection;
  readonly self: Member;
  readonly directory: Directory;
  readonly newId: () => RecordId;
  readonly log: (what: string) => void;
}

const ABSENT_PAUSE_MS = 150;
const CONCURRENCY = 32;

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');

function isAbsent(error: unknown): boolean {
  return (
    error instanceof errors.NoRespondersError ||
    (error instanceof errors.RequestError && error.isNoResponders())
  );
}

/** Plain NATS requests: the first answer that comes is the answer, whoever gave it. */
export function createRequests({
  nats,
  self,
  newId,
  log,
}: RequestOptions): Pick<AgentBus, 'request'> {
  async function ask(subject: string, bytes: Uint8Array, timeoutMs: number): Promise<Msg> {
    const until = performance.now() + timeoutMs;
    for (;;) {
      const timeout = Math.max(1, until - performance.now());
      try {
        return await nats.request(subject, bytes, { timeout });
      } catch (error) {
        // The service starts, or starts again: the same request is asked until its time is over.
        if (!isAbsent(error) || until - performance.now() <= ABSENT_PAUSE_MS) throw error;
        await pause(ABSENT_PAUSE_MS);
      }
    }
  }

  return {
    request: async (draft: ServiceRequest): Promise<ServiceAnswer | Refused> => {
      const { service, request, causes, recordKind, tool, timeoutMs } = draft;
      const id = newId();
      const bytes = encodeEnvelope({
        from: self.token,
        id,
        kind: recordKind,
        causes: [...causes],
        ...(tool !== undefined && { tool }),
        body: text(encodeRequest(request)),
      });
      log(`asked ${service} ${id}`);
      let answered: Msg;
      try {
        answered = await ask(requestSubject(service), bytes, timeoutMs);
      } catch (error) {
        return isAbsent(error)
          ? refuse('REQUEST_NO_RESPONDER', `no instance of ${service} is connected`)
          : refuse('REQUEST_TIMED_OUT', `no answer from ${service} in time`);
      }
      const message = parseEnvelope(answered.data);
      const response = parseResponse(Buffer.from(message?.body ?? ''));
      if (message === undefined) return refuse('HTTP_MESSAGE_MALFORMED', 'not an answer');
      if (!response.ok) return response;
      return { ok: true, payload: response.value, recordId: message.id };
    },
  };
}

/** Serves whoever holds the key; `close` answers what was asked. */
export function serveRequests(
  { nats, self, directory, newId, log }: RequestOptions,
  service: string,
  handle: Service['handle'],
): { close(): Promise<void> } {
  const places = createPlaces(CONCURRENCY);
  const subject = requestSubject(service);

  async function answer(raw: Msg): Promise<void> {
    const message = parseEnvelope(raw.data);
    const request = parseRequest(Buffer.from(message?.body ?? ''));
    if (message === undefined || !request.ok) return;
    const believed = believe(message, subject, request.value, directory);
    if (believed === undefined) return;
    await places.enter();
    try {
      const { response, causes = [], tool } = await handle(believed);
      const id = newId();
      raw.respond(
        encodeEnvelope({
          from: self.token,
          id,
          kind: 'tool.result',
          causes: [message.id, ...causes],
          ...(tool !== undefined && { tool }),
          body: text(encodeResponse(response)),
        }),
      );
      log(`answered ${message.from} ${id} to ${message.id} with ${response.status}`);
    } finally {
      places.leave();
    }
  }

  const subscription: Subscription = nats.subscribe(subject, {
    queue: `svc-${service}`,
    callback: (_error, raw) => void answer(raw).catch(() => undefined),
  });
  return {
    close: async () => {
      subscription.unsubscribe();
      await nats.flush();
      await places.empty();
    },
  };
}
