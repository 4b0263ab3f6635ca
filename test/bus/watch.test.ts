import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type BusAlarm, createAlarmBoard } from '#bus/client/alarms.ts';
import { createGapWatch } from '#bus/client/gaps.ts';
import { createInclusionWatch } from '#bus/client/inclusion.ts';
import type { RecordId } from '#custody/record.ts';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';

describe('the board of alarms', () => {
  const setUp = () => {
    const told: string[] = [];
    const tell = ({ code, about, detail, over }: BusAlarm) =>
      told.push(`${over ? '-' : '+'}${code} ${about} ${detail}`);
    return { told, board: createAlarmBoard(tell) };
  };

  test('tells each thing once, and once more when it is over', () => {
    const { told, board } = setUp();
    const things = (...names: string[]) => new Map(names.map((name) => [name, `of ${name}`]));
    board.now('ACK_MISSING', things('a'));
    board.now('ACK_MISSING', things('a', 'b'));
    board.now('RSQ_GAP', things('a'));
    board.now('ACK_MISSING', things('a', 'b'));
    expect(told).toEqual(['+ACK_MISSING a of a', '+ACK_MISSING b of b', '+RSQ_GAP a of a']);
    told.length = 0;
    board.now('ACK_MISSING', things('b'));
    board.now('ACK_MISSING', things('b', 'a'));
    board.now('ACK_MISSING', things());
    expect(told).toEqual([
      '-ACK_MISSING a of a',
      '+ACK_MISSING a of a',
      '-ACK_MISSING b of b',
      '-ACK_MISSING a of a',
    ]);
  });

  test('has a bound on things of one code, and room again when some are over', () => {
    const { told, board } = setUp();
    const many = new Map(Array.from({ length: 1000 }, (_, n) => [`m${n}`, '']));
    board.now('ACK_MISSING', many);
    board.now('RSQ_GAP', new Map([['a', '']]));
    expect(told.length).toBe(65);
    board.now('ACK_MISSING', new Map([['m999', '']]));
    expect(told.at(-1)).toBe('+ACK_MISSING m999 ');
  });
});

describe('gaps', () => {
  const aud = ['spiffe://city.example/agent/analyzer/north/analyzer-1'];
  const setUp = () => {
    const time = { now: 0 };
    const gaps = createGapWatch({ now: () => time.now });
    const came = (rsq: number, sid = 's') => gaps.came('cam', { sid, aud, rsq });
    const refused = (rsq: number, sid = 's') => gaps.refused('cam', { sid, aud, rsq });
    const missing = () => gaps.missing().get('cam') ?? 0;
    return { time, came, refused, missing };
  };

  test('a number that does not come is missed after a while, and forgotten with its record', () => {
    const { time, came, missing } = setUp();
    for (const rsq of [1, 2, 5]) came(rsq);
    expect(missing()).toBe(0);
    time.now = 5000;
    expect(missing()).toBe(2);
    time.now = 30_001;
    expect(missing()).toBe(0);
  });

  test('what comes late, or was refused, is not missed', () => {
    const { time, came, refused, missing } = setUp();
    came(1);
    refused(2);
    refused(4);
    came(5);
    came(3);
    refused(9);
    came(10);
    refused(8);
    time.now = 6000;
    expect(missing()).toBe(2);
  });

  test('a session says nothing of what was before its first message', () => {
    const { time, came, missing } = setUp();
    came(7);
    came(3, 'another');
    time.now = 6000;
    expect(missing()).toBe(0);
    came(5, 'another');
    time.now = 12_000;
    expect(missing()).toBe(1);
  });

  test('each audience has its numbers: a message to another one hides no gap', () => {
    const time = { now: 0 };
    const gaps = createGapWatch({ now: () => time.now });
    const all = ['spiffe://city.example/agent/analyzer/north/*'];
    const came = (to: readonly string[], rsq: number) =>
      gaps.came('cam', { sid: 's', aud: to, rsq });
    came(all, 1);
    came(aud, 1);
    came(all, 4);
    came(aud, 2);
    gaps.refused('cam', { sid: 's', aud, rsq: 2 });
    time.now = 6000;
    expect(gaps.missing().get('cam')).toBe(2);
    came(all, 2);
    came(all, 3);
    expect(gaps.missing().size).toBe(0);
  });

  test('who makes up audiences and sessions pushes out only its own', () => {
    const time = { now: 0 };
    const gaps = createGapWatch({ now: () => time.now });
    gaps.came('cam', { sid: 's', aud, rsq: 1 });
    for (let n = 0; n < 5000; n += 1) {
      const session = { sid: `${n >> 8}`, aud: [`spiffe://city.example/x/${n}`] };
      gaps.came('flood', { ...session, rsq: 1 });
    }
    gaps.came('cam', { sid: 's', aud, rsq: 3 });
    time.now = 6000;
    expect([...gaps.missing()]).toEqual([['cam', 1]]);
  });

  test('a refused message, whose numbers anybody can write, moves nothing on', () => {
    const { time, came, refused, missing } = setUp();
    came(1);
    refused(Number.MAX_SAFE_INTEGER);
    refused(3, 'of no session');
    came(3);
    time.now = 6000;
    expect(missing()).toBe(1);
  });

  test('in any order, those are missing that neither came nor were refused', () => {
    const numbers = fc.uniqueArray(fc.integer({ min: 2, max: 60 }), { maxLength: 40 });
    fc.assert(
      fc.property(
        numbers,
        fc.array(fc.boolean(), { minLength: 40, maxLength: 40 }),
        (all, kinds) => {
          const { time, came, refused, missing } = setUp();
          came(1);
          const passed = all.filter((_, at) => kinds[at]);
          for (const [at, rsq] of all.entries()) (kinds[at] ? came : refused)(rsq);
          time.now = 6000;
          const last = Math.max(1, ...passed);
          const heard = new Set(all);
          const absent = Array.from({ length: last }, (_, at) => at + 1).filter(
            (rsq) => rsq > 1 && !heard.has(rsq),
          );
          expect(missing()).toBe(absent.length);
        },
      ),
    );
  });
});

describe('questions about inclusion', () => {
  const idOf = (n: number) => String(n) as RecordId;
  const setUp = (answer: (id: RecordId) => Promise<Outcome<unknown>>, random = () => 0) => {
    const asked: RecordId[] = [];
    const prove = (id: RecordId) => {
      asked.push(id);
      return answer(id);
    };
    return { asked, watch: createInclusionWatch({ prove, random, limitMs: 20 }) };
  };

  test('are asked about records with a receipt, and only when there is something new', async () => {
    const { asked, watch } = setUp(async () => accept({}));
    await watch.ask();
    watch.receipted(idOf(1));
    await watch.ask();
    await watch.ask();
    watch.receipted(idOf(2));
    await watch.ask();
    expect(asked).toEqual(['1', '1']);
    expect(watch.missing()).toBeUndefined();
  });

  test('one at a time', async () => {
    const held = Promise.withResolvers<Outcome<unknown>>();
    const { asked, watch } = setUp(() => held.promise);
    watch.receipted(idOf(1));
    const first = watch.ask();
    watch.receipted(idOf(2));
    await watch.ask();
    expect(asked.length).toBe(1);
    held.resolve(accept({}));
    await first;
  });

  test.each([
    ['refused', async () => refuse('PROOF_WRONG', 'another root'), 'PROOF_WRONG: another root'],
    ['failing', async () => Promise.reject(new Error('gone')), 'gone'],
    ['late', () => new Promise<never>(() => {}), 'no proof within 0.02 s'],
  ])('a %s answer is missing, and asked for again until it is there', async (_, answer, why) => {
    let honest = false;
    const { asked, watch } = setUp(() => (honest ? Promise.resolve(accept({})) : answer()));
    watch.receipted(idOf(7));
    await watch.ask();
    expect(watch.missing()).toBe(`record 7: ${why}`);
    watch.receipted(idOf(8));
    await watch.ask();
    expect(asked).toEqual(['7', '7']);
    honest = true;
    await watch.ask();
    expect([asked.length, watch.missing()]).toEqual([3, undefined]);
  });

  test('reach old records as well as young ones, of a bounded number', async () => {
    let seed = 1;
    const random = () => {
      seed = (seed * 16_807) % 2_147_483_647;
      return seed / 2_147_483_647;
    };
    const { asked, watch } = setUp(async () => accept({}), random);
    for (let n = 0; n < 10_000; n += 1) watch.receipted(idOf(n));
    for (let n = 0; n < 200; n += 1) {
      watch.receipted(idOf(10_000 + n));
      await watch.ask();
    }
    expect(asked.some((id) => Number(id) < 2500)).toBe(true);
    expect(asked.some((id) => Number(id) > 7500)).toBe(true);
    expect(new Set(asked).size).toBeLessThanOrEqual(256 + 200);
  });
});
