import type { NatsConnection } from '@nats-io/transport-node';
import type { AgentBus, OutgoingMessage } from '#agents/bus.ts';
import { createPlaces } from '#bus/client/places.ts';
import type { Directory, Member } from '#bus/directory.ts';
import type { Verified } from '#bus/verified.ts';
import { audienceIncludes } from '#custody/record/audience.ts';
import type { RecordId } from '#custody/record.ts';
import { believe } from './believe.ts';
import {
  ackSubject,
  encodeAck,
  encodeEnvelope,
  messageSubject,
  parseAck,
  parseEnvelope,
} from './codec.ts';

export interface Messages extends Pick<AgentBus, 'send' | 'consume' | 'flush'> {
  status(): { readonly outstanding: number; readonly acknowledged: number; readonly again: number };
  close(): void;
}

interface Outstanding {
  readonly subject: string;
  readonly bytes: Uint8Array;
  /** Tokens of those who have not said that they took it. */
  readonly remaining: Set<string>;
  due: number;
}

const MAX_OUTSTANDING = 256;
const REPEAT_MS = 3000;
const TICK_MS = 500;
const MAX_REMEMBERED = 20_000;

/** Messages to the district, each kept and repeated until all its receivers have taken it. */
export function createMessages(options: {
  readonly nats: NatsConnection;
  readonly self: Member;
  readonly directory: Directory;
  readonly newId: () => RecordId;
  readonly log: (what: string) => void;
}): Messages {
  const { nats, self, directory, log } = options;
  const places = createPlaces(MAX_OUTSTANDING);
  const open = new Map<string, Outstanding>();
  let acknowledged = 0;
  let again = 0;

  function publish(item: Outstanding): void {
    item.due = performance.now() + REPEAT_MS;
    nats.publish(item.subject, item.bytes);
  }

  nats.subscribe(ackSubject(self.token), {
    callback: (_error, message) => {
      const told = parseAck(message.data);
      const item = told === undefined ? undefined : open.get(told.id);
      if (told === undefined || item === undefined) return;
      item.remaining.delete(told.from);
      if (item.remaining.size > 0) return;
      open.delete(told.id);
      acknowledged += 1;
      places.leave();
    },
  });
  const timer = setInterval(() => {
    const now = performance.now();
    for (const item of open.values()) {
      if (item.due > now) continue;
      again += 1;
      publish(item);
    }
  }, TICK_MS);

  async function send(message: OutgoingMessage): Promise<RecordId> {
    const { kind, audience, causes, payload, recordKind } = message;
    const remaining = directory.members
      .filter(({ id }) => id !== self.id && audienceIncludes(audience, id))
      .map(({ token }) => token);
    if (remaining.length === 0) throw new Error(`no member is addressed by ${audience.join(' ')}`);
    await places.enter();
    const id = options.newId();
    const body = Buffer.from(payload).toString('utf8');
    const item = {
      subject: messageSubject(self.district ?? 'platform', kind),
      bytes: encodeEnvelope({ from: self.token, id, kind: recordKind, causes: [...causes], body }),
      remaining: new Set(remaining),
      due: 0,
    };
    open.set(id, item);
    publish(item);
    log(`sent ${kind} ${id}`);
    return id;
  }

  function consume({ kind, handler }: Parameters<AgentBus['consume']>[0]): {
    close(): Promise<void>;
  } {
    const subject = messageSubject(self.district ?? '*', kind);
    const waiting: Verified<Uint8Array>[] = [];
    /** Taken, or waiting for its turn: a repetition is not handed over again. */
    const taken = new Map<RecordId, 'waiting' | 'handled'>();
    let running: Promise<void> | undefined;

    function acknowledge({ sender, recordId }: Verified<unknown>): void {
      nats.publish(ackSubject(sender.token), encodeAck({ from: self.token, id: recordId }));
    }

    async function run(): Promise<void> {
      for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
        try {
          await handler(next);
        } catch {
          // Its sender repeats it.
          taken.delete(next.recordId);
          continue;
        }
        taken.set(next.recordId, 'handled');
        log(`took ${kind} ${next.recordId} of ${next.sender.token}`);
        acknowledge(next);
        const oldest = taken.size > MAX_REMEMBERED ? taken.keys().next() : undefined;
        if (oldest?.done === false) taken.delete(oldest.value);
      }
      running = undefined;
    }

    const subscription = nats.subscribe(subject, {
      callback: (_error, raw) => {
        const message = parseEnvelope(raw.data);
        if (message === undefined) return;
        const payload = Buffer.from(message.body);
        const believed = believe(message, raw.subject, payload, directory);
        if (believed === undefined) return;
        const before = taken.get(believed.recordId);
        if (before === 'handled') acknowledge(believed);
        if (before !== undefined) return;
        taken.set(believed.recordId, 'waiting');
        waiting.push(believed);
        running ??= run();
      },
    });
    return {
      close: async () => {
        subscription.unsubscribe();
        await running;
      },
    };
  }

  return {
    send,
    consume,
    flush: () => places.empty(),
    status: () => ({ outstanding: open.size, acknowledged, again }),
    close: () => {
      clearInterval(timer);
      places.close(new Error('the connection was closed'));
    },
  };
}
