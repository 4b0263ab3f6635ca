import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { createAcknowledger } from '#bus/client/acknowledger.ts';
import { applyAck, type Outstanding } from '#bus/client/outstanding.ts';
import { type AckPayload, parseAck } from '#custody/ack.ts';
import type { RecordClaims, SignedRecord } from '#custody/record.ts';
import { MEMBERS } from '#test/support/swarm.ts';

const SID = 'A'.repeat(22);
const DISTRICT = ['spiffe://city.example/agent/analyzer/north/*'];
const EXACT = [MEMBERS.analyzer.id];
const claimsOf = (aud: readonly string[], rsq: number, sid = SID) =>
  ({ iss: MEMBERS.camera.id, sid, aud, rsq }) as RecordClaims;
const claims = claimsOf(DISTRICT, 3);

function setUp(submit: () => Promise<void>) {
  const published: string[] = [];
  const acknowledger = createAcknowledger({
    link: {
      connected: () => true,
      publish: ({ subject }: { readonly subject: string }) => published.push(subject),
    } as never,
    self: MEMBERS.analyzer,
    session: 'own',
    signing: {
      soon: async (_draft, use) => use({ jws: '', salt: Buffer.alloc(16), chain: [] } as never),
    },
    submit: (_record: SignedRecord) => submit(),
    clock: () => 0,
  });
  acknowledger.accepted(MEMBERS.camera, claims, 0);
  acknowledger.flush();
  return published;
}

/** What it signs, by which messages of ours that settles. */
function telling() {
  const told: AckPayload[] = [];
  const acknowledger = createAcknowledger({
    link: { connected: () => true } as never,
    self: MEMBERS.analyzer,
    session: SID,
    signing: {
      soon: async ({ payload }) => {
        const ack = parseAck(payload);
        if (ack.ok && ack.value.type === 'ack') told.push(ack.value);
        return undefined as never;
      },
    },
    submit: async () => undefined,
    clock: () => 0,
  });
  const take = () => {
    acknowledger.flush();
    return told.splice(0);
  };
  return { acknowledger, take };
}

/** Sent and not yet acknowledged. */
const sent = (audience: readonly string[], rsq: number) =>
  ({
    audience,
    remaining: new Set([MEMBERS.analyzer.id]),
    signatures: new Set([rsq]),
    record: { claims: { rsq } },
  }) as unknown as Outstanding;

function settled(items: readonly Outstanding[], acks: readonly AckPayload[], renewed = false) {
  const effects = acks.map((ack) => applyAck(items, MEMBERS.analyzer.id, ack, renewed));
  const numbers = (some: readonly Outstanding[]) => some.map((item) => items.indexOf(item));
  return {
    done: numbers(effects.flatMap(({ done }) => done)),
    again: numbers(effects.flatMap(({ again }) => again)),
  };
}

test('messages to one audience are not acknowledged by those that came to another', () => {
  const { acknowledger, take } = telling();
  for (let rsq = 1; rsq <= 5; rsq += 1) {
    acknowledger.accepted(MEMBERS.camera, claimsOf(DISTRICT, rsq), 0);
  }
  const items = [sent(DISTRICT, 5), sent(EXACT, 1), sent(EXACT, 2)];
  const first = take();
  expect(first).toMatchObject([{ aud: DISTRICT, through: 5 }]);
  expect(settled(items, first)).toEqual({ done: [0], again: [] });
  // Nor are they lost by a receiver's new session, of which this one says nothing.
  expect(settled(items, first, true)).toEqual({ done: [], again: [] });
  acknowledger.accepted(MEMBERS.camera, claimsOf(EXACT, 2), 1);
  const second = take();
  expect(second).toMatchObject([{ aud: EXACT, through: 2, rejected: [1] }]);
  expect(settled(items, second)).toEqual({ done: [2], again: [1] });
});

test('a rejected message is rejected for its audience alone', () => {
  const { acknowledger, take } = telling();
  acknowledger.rejected(MEMBERS.camera, claimsOf(DISTRICT, 1), 0);
  acknowledger.accepted(MEMBERS.camera, claimsOf(EXACT, 1), 0);
  const items = [sent(DISTRICT, 1), sent(EXACT, 1)];
  expect(settled(items, take())).toEqual({ done: [1], again: [0] });
  acknowledger.repeated(claimsOf(EXACT, 1));
  acknowledger.repeated(claimsOf([...EXACT, MEMBERS.analyzer2.id], 1));
  expect(take().map(({ aud }) => aud)).toEqual([EXACT]);
});

test('who makes up sessions and audiences makes nobody else’s rejections forgotten', () => {
  const { acknowledger, take } = telling();
  acknowledger.rejected(MEMBERS.camera, claimsOf(DISTRICT, 1), 0);
  for (let n = 0; n < 3000; n += 1) {
    const made = claimsOf(
      [`spiffe://city.example/x/${n}`],
      1,
      randomBytes(16).toString('base64url'),
    );
    acknowledger.rejected(MEMBERS.action, { ...made, iss: MEMBERS.action.id }, 0);
  }
  acknowledger.accepted(MEMBERS.camera, claimsOf(DISTRICT, 2), 0);
  const acks = take();
  expect(acks.find(({ to }) => to === MEMBERS.camera.id)).toMatchObject({ rejected: [1] });
  expect(acks.length).toBe(1 + 64);
});

const turn = () => new Promise((resolve) => setImmediate(resolve));

test('a sender is told when the acknowledgement is on its way to the ledger, and not before', async () => {
  const room = Promise.withResolvers<void>();
  const published = setUp(() => room.promise);
  await turn();
  expect(published).toEqual([]);
  room.resolve();
  await turn();
  expect(published).toHaveLength(1);
});

test('what the ledger will not get, the sender is not told', async () => {
  const published = setUp(() => Promise.reject(new Error('closed')));
  await turn();
  expect(published).toEqual([]);
});
