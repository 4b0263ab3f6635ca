import { expect, test } from 'vitest';
import { createAcknowledger } from '#bus/client/acknowledger.ts';
import type { RecordClaims, SignedRecord } from '#custody/record.ts';
import { MEMBERS } from '#test/support/swarm.ts';

const claims = { iss: MEMBERS.camera.id, sid: 'session', rsq: 3 } as RecordClaims;

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
