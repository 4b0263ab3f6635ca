import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { IssuedRow, Lives } from '#cli/wiring/lives.ts';
import { spiffeId } from '#identity/spiffe-id.ts';
import { claims, DIGEST, ID, LEDGER, print, read, setUp } from './attesting.ts';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

describe('an issuance', () => {
  test('to a process that was started for it is stated, and stands when the ledger holds it', async () => {
    const { lives, issue, settled, judge, ledger, judges, acknowledged, statements, alarms } =
      setUp();
    lives.attested(claims());
    issue('leaf');
    await settled();
    expect(ledger.map(read)).toMatchObject([{ kind: 'issuance', id: ID, serial: '0a' }]);
    expect(judge('leaf')).toBe('unknown');
    expect([judges, acknowledged]).toEqual([[], []]);
    statements.entered(ledger[0] ?? '');
    await settled();
    expect(judge('leaf')).toBe('standing');
    expect(judges).toMatchObject([{ thumbprint: print('leaf') }]);
    expect(acknowledged).toEqual([1]);
    expect(statements.notes()).toEqual(ledger);
    expect(alarms).toEqual([]);
  });

  test('to an identity that is needed before there is a ledger stands at once, and is entered too', async () => {
    const { lives, issue, settled, judge, ledger, judges, acknowledged } = setUp();
    lives.attested(claims(LEDGER));
    issue('ledger', { spiffe_id: LEDGER });
    await settled();
    expect(judge('ledger', LEDGER)).toBe('standing');
    expect(judges).toHaveLength(1);
    expect(ledger).toHaveLength(1);
    expect(acknowledged).toEqual([]);
  });

  test('that cannot be read is an alarm, and holds up none of those behind it', async () => {
    const { lives, issue, settled, judge, ledger, unreadable, alarms, acknowledged, statements } =
      setUp();
    lives.attested(claims());
    unreadable.add(1);
    issue('leaf');
    await settled();
    expect(alarms).toEqual([expect.stringMatching(/^ISSUANCE_NOT_ATTESTED: row 1 /)]);
    statements.entered(ledger[0] ?? '');
    await settled();
    expect(judge('leaf')).toBe('standing');
    expect(acknowledged.at(-1)).toBe(2);
  });

  const now = () => Math.floor(Date.now() / 1000);
  test.each<[string, Partial<IssuedRow>, ((lives: Lives) => void)?]>([
    ['to no process at all', {}, (lives) => lives.exited(7, 1)],
    ['to a process of another identity', { spiffe_id: LEDGER }],
    ['to another image', { selectors: ['swarm:instance:instance-7', 'swarm:image_digest:x'] }],
    ['to another instance', { selectors: [`swarm:image_digest:${DIGEST}`] }],
    ['without selectors', { selectors: [] }],
    ['as minted, over a key that nobody here has', { entry_id: 'mint', selectors: [] }],
    ['in a form that cannot be stated', { serial: 'no hex' }],
  ])('%s is an alarm, is not signed, and holds nothing up', async (_name, more, before) => {
    const { lives, issue, settled, judge, ledger, alarms, acknowledged, statements } = setUp();
    lives.attested(claims());
    if (before !== undefined) {
      before(lives);
      await vi.advanceTimersByTimeAsync(5000);
    }
    issue('rogue', { ...more, issued_at: now() });
    await settled();
    expect(ledger).toEqual([]);
    expect(alarms).toEqual([expect.stringMatching(/^ISSUANCE_NOT_ATTESTED: /)]);
    expect(statements.status()).toMatchObject({ notAttested: 1, waiting: 0 });
    expect(judge('rogue')).toBe('unknown');
    expect(acknowledged).toEqual([1]);
    lives.attested(claims());
    issue('honest');
    await settled();
    expect(ledger).toHaveLength(1);
  });

  test('to a process that has just ended, by a row that comes late, is stated', async () => {
    const { lives, issue, settled, ledger } = setUp();
    lives.attested(claims());
    const at = now();
    lives.exited(7, 1);
    await vi.advanceTimersByTimeAsync(30_000);
    issue('late', { issued_at: at, not_after: at + 60 });
    await settled();
    expect(ledger).toHaveLength(1);
  });

  test('minted for a key of this process is stated', async () => {
    const { lives, issue, settled, ledger, alarms } = setUp();
    const leaf = Buffer.from('leaf');
    lives.minted(leaf, LEDGER);
    const thumbprint = createHash('sha256').update(leaf).digest('base64url');
    const mint = { entry_id: 'mint', selectors: [], thumbprint };
    issue('minted', { ...mint, spiffe_id: LEDGER });
    issue('the same for another identity', mint);
    await settled();
    expect(ledger.map(read)).toMatchObject([{ id: LEDGER, thumbprint }]);
    expect(alarms).toHaveLength(1);
  });

  test('to nobody that gate or doors believe, or by an earlier run, is passed over', async () => {
    const { issue, settled, ledger, alarms, acknowledged } = setUp();
    issue('stranger', { spiffe_id: spiffeId('spiffe://city.example/tool/curl') });
    issue('former', { issued_at: Math.floor(Date.now() / 1000) - 60 });
    await settled();
    expect([ledger, alarms]).toEqual([[], []]);
    expect(acknowledged.at(-1)).toBe(2);
  });
});

describe('the ledger', () => {
  test('rows are acknowledged in their order, whatever it enters first', async () => {
    const { lives, issue, settled, ledger, acknowledged, statements } = setUp();
    lives.attested(claims());
    for (const name of ['one', 'two', 'three']) issue(name);
    await settled();
    const [one = '', two = '', three = ''] = ledger;
    statements.entered(two);
    await settled();
    expect(acknowledged).toEqual([]);
    statements.entered(one);
    await settled();
    expect(acknowledged).toEqual([2]);
    statements.entered(three);
    statements.entered(three);
    await settled();
    expect(acknowledged).toEqual([2, 3]);
  });

  test('is given again what it has not confirmed: when another begins, and when one is silent', async () => {
    const { lives, issue, settled, ledger, statements } = setUp();
    lives.attested(claims());
    issue('one');
    issue('two');
    await settled();
    const first = ledger.splice(0);
    statements.ledgerStarted();
    expect(ledger.splice(0)).toEqual(first);
    statements.entered(first[0] ?? '');
    await vi.advanceTimersByTimeAsync(4000);
    expect(new Set(ledger.splice(0))).toEqual(new Set(first.slice(1)));
    statements.entered(first[1] ?? '');
    await vi.advanceTimersByTimeAsync(10_000);
    expect(ledger).toEqual([]);
  });

  test('that is away leaves rows with the issuer, on its disk; they are read when it is back', async () => {
    const { lives, issue, settled, ledger, statements } = setUp();
    lives.attested(claims());
    for (let count = 0; count < 5000; count += 1) issue(`leaf ${count}`);
    await settled();
    const waiting = ledger.length;
    expect(waiting).toBeLessThan(5000);
    for (const note of ledger.slice(0, waiting)) statements.entered(note);
    await settled();
    expect(ledger).toHaveLength(5000);
  });
});
