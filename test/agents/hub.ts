import type { AgentBus, ServiceAnswer, ServiceRequest } from '#agents/bus.ts';
import { createPlaces } from '#bus/client/places.ts';
import type { Member } from '#bus/directory.ts';
import type { BusRequest, BusResponse } from '#bus/http-message.ts';
import type { Verified } from '#bus/verified.ts';
import type { RecordClaims, RecordId } from '#custody/record.ts';
import type { Refused } from '#identity/outcome.ts';
import { spiffeId } from '#identity/spiffe-id.ts';

export interface HubRecord {
  readonly id: RecordId;
  readonly from: string;
  /** Message kind, or `svc.<name>` and `reply.<name>`. */
  readonly kind: string;
  readonly recordKind: string;
  readonly causes: readonly RecordId[];
  readonly payload: unknown;
}

export type Service = (request: BusRequest) => Promise<BusResponse | Refused>;

/** A bus in memory: ordered, bounded, acknowledging; it signs nothing and keeps every record. */
export interface Hub {
  readonly records: readonly HubRecord[];
  acknowledged(token: string): number;
  join(token: string, options?: { readonly limit?: number }): AgentBus;
  /** Delivers the same bytes again under a new record id, as a re-signed message arrives. */
  repeat(record: HubRecord): Promise<void>;
}

export function memberOf(token: string): Member {
  const [role = '', ...name] = token.split('-');
  return {
    id: spiffeId(`spiffe://city.example/agent/${role}/north/${name.join('-')}`),
    token,
    kind: 'agent',
    role,
    district: 'north',
    name: name.join('-'),
  };
}

export function json(status: number, body: unknown): BusResponse {
  return { status, contentType: 'application/json', body: JSON.stringify(body) };
}

type Handler = (message: Verified<Uint8Array>) => Promise<void>;

export function createHub(services: Readonly<Record<string, Service>> = {}): Hub {
  const records: HubRecord[] = [];
  const handlers = new Map<string, { handler: Handler; tail: Promise<void> }[]>();
  const acks = new Map<string, number>();

  function write(record: Omit<HubRecord, 'id'>): RecordId {
    const id = `record-${records.length + 1}` as RecordId;
    records.push({ ...record, id });
    return id;
  }

  function deliver(record: HubRecord, payload: Uint8Array): Promise<void> {
    const sender = memberOf(record.from);
    const message: Verified<Uint8Array> = {
      ok: true,
      signedBy: sender.id,
      sender,
      recordId: record.id,
      claims: { par: record.causes } as unknown as RecordClaims,
      subject: `north.${record.kind}.${record.from}`,
      payload,
      gap: 0,
    };
    const taken = (handlers.get(record.kind) ?? []).map((consumer) => {
      consumer.tail = consumer.tail.then(() => consumer.handler(message));
      return consumer.tail;
    });
    return Promise.all(taken).then(() => undefined);
  }

  return {
    records,
    acknowledged: (token) => acks.get(token) ?? 0,
    repeat: (record) => {
      const id = write(record);
      return deliver({ ...record, id }, Buffer.from(JSON.stringify(record.payload)));
    },
    join(token, { limit = 16 } = {}) {
      const places = createPlaces(limit);
      return {
        async send({ kind, recordKind, causes, payload }) {
          await places.enter();
          const parsed: unknown = JSON.parse(Buffer.from(payload).toString('utf8'));
          const id = write({ from: token, kind, recordKind, causes, payload: parsed });
          const record = records[records.length - 1] as HubRecord;
          void deliver(record, payload).then(() => {
            acks.set(token, (acks.get(token) ?? 0) + 1);
            places.leave();
          });
          return id;
        },
        consume({ kind, handler }) {
          const consumer = { handler, tail: Promise.resolve() };
          handlers.set(kind, [...(handlers.get(kind) ?? []), consumer]);
          return { close: () => consumer.tail };
        },
        async request(draft: ServiceRequest): Promise<ServiceAnswer | Refused> {
          const { service, request, recordKind, causes } = draft;
          const kind = `svc.${service}`;
          const asked = write({ from: token, kind, recordKind, causes, payload: request });
          const run = services[service];
          if (run === undefined) throw new Error(`no service "${service}" in the swarm`);
          const answer = await run(request);
          if ('ok' in answer) return answer;
          const recordId = write({
            from: `service-${service}`,
            kind: `reply.${service}`,
            recordKind: 'tool.result',
            causes: [asked],
            payload: answer,
          });
          return { ok: true, payload: answer, recordId };
        },
        flush: () => places.empty(),
      };
    },
  };
}
