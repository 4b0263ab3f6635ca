import { beforeEach, describe, expect, it } from 'vitest';
import { createRecordSigner } from '#custody/record/sign.ts';
import type { SignedRecord } from '#custody/record.ts';
import { createTestSwarm, IDS, reading, type TestSwarm } from '../support.ts';
import { createStory, createTestLedger, submission } from './support.ts';

let swarm: TestSwarm;
let test: ReturnType<typeof createTestLedger>;
let story: ReturnType<typeof createStory>;
beforeEach(async () => {
  swarm ??= await createTestSwarm();
  test = createTestLedger(swarm);
  story = createStory(swarm);
});
const submit = (record: SignedRecord, payload?: string, more = {}) =>
  test.ledger.submit(submission(record, payload, more));

describe('equivocation', () => {
  it('is recorded once, with both records, and names the sender', async () => {
    const session = Buffer.alloc(16, 7).toString('base64url');
    const twin = () =>
      createRecordSigner({
        source: () => swarm.svid('sensor'),
        clock: swarm.clock,
        random: (size) => crypto.getRandomValues(new Uint8Array(size)),
        session,
      });
    const [one, two, three] = [twin(), twin(), twin()].map(({ sign }) => sign(reading('x')));
    if (!one || !two || !three) throw new Error('no records');
    expect(await submit(one, 'x')).toMatchObject({ ok: true });
    expect(await submit(two, 'x')).toMatchObject({ code: 'LEDGER_EQUIVOCATION' });
    expect(await submit(three, 'x')).toMatchObject({ code: 'LEDGER_EQUIVOCATION' });
    expect(test.ledger.equivocations()).toMatchObject([
      { index: 1, other: one.id, record: { id: two.id, claims: { iss: IDS.sensor, seq: 1 } } },
    ]);
    expect(test.ledger.get(two.id)).toBeUndefined();
    expect(test.ledger.counts()).toMatchObject({ entries: 2, equivocations: 1 });
  });
});

describe('an act', () => {
  it('is accepted once per cause and tool', async () => {
    const cause = story.finding([]);
    await submit(cause, 'finding');
    const first = story.act([cause.id]);
    expect(await submit(first, 'act')).toMatchObject({ ok: true });
    const second = story.act([cause.id]);
    expect(await submit(second, 'act')).toMatchObject({ code: 'LEDGER_ACT_CLAIMED' });
    const other = story.act([cause.id], 'act', 'valve.status');
    expect(await submit(other, 'act')).toMatchObject({ ok: true });
  });

  it('whose cause never comes is recorded as refused when it is brought for the last time', async () => {
    const cause = story.finding([]);
    const orphan = story.act([cause.id]);
    expect(await submit(orphan, 'act')).toMatchObject({ code: 'LEDGER_PARENT_UNKNOWN' });
    await test.ledger.flush({ all: true });
    expect(test.ledger.refusals()).toEqual([]);
    expect(await submit(orphan, 'act', { last: true })).toMatchObject({
      code: 'LEDGER_PARENT_UNKNOWN',
    });
    await test.ledger.flush({ all: true });
    expect(test.ledger.refusals()).toMatchObject([
      { refusal: { code: 'LEDGER_PARENT_UNKNOWN', signed_by: IDS.action, record: orphan.id } },
    ]);
    // The twin: its cause came in between.
    await submit(cause, 'finding');
    expect(await submit(orphan, 'act', { last: true })).toMatchObject({ ok: true });
  });

  it('claims all of its causes: one more cause does not make it another', async () => {
    const [a, b] = [story.finding([]), story.finding([])];
    for (const cause of [a, b]) await submit(cause, 'finding');
    await submit(story.act([a.id]), 'act');
    const wider = await submit(story.act([b.id, a.id]), 'act');
    expect(wider).toMatchObject({ code: 'LEDGER_ACT_CLAIMED' });
  });

  it('waits for its cause, which must have been addressed to it', async () => {
    const cause = story.finding([]);
    const act = story.act([cause.id]);
    expect(await submit(act, 'act')).toMatchObject({ code: 'LEDGER_PARENT_UNKNOWN' });
    await submit(cause, 'finding');
    expect(await submit(act, 'act')).toMatchObject({ ok: true });
    // The reading went to analyzers: the action agent cannot have received it.
    const read = story.read();
    await submit(read, 'reading');
    const unheard = await submit(story.act([read.id]), 'act');
    expect(unheard).toMatchObject({ code: 'LEDGER_PARENT_NOT_RECEIVED' });
  });

  it('does not precede its cause', async () => {
    const early = story.act;
    swarm.clock.advance(4_000);
    const cause = story.finding([]);
    swarm.clock.advance(-4_000);
    await submit(cause, 'finding');
    swarm.clock.advance(-2_000);
    const act = early([cause.id]);
    swarm.clock.advance(2_000);
    expect(await submit(act, 'act')).toMatchObject({ code: 'LEDGER_PARENT_LATER' });
  });
});
