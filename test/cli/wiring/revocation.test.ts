import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { claims, print, read, setUp } from './attesting.ts';

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

describe('when a registration entry is removed', () => {
  async function standing() {
    const made = setUp();
    made.lives.attested(claims());
    made.issue('leaf');
    await made.settled();
    made.statements.entered(made.ledger.splice(0)[0] ?? '');
    await made.settled();
    made.judges.splice(0);
    return made;
  }

  test('its living certificates are revoked at once, and the ledger is told', async () => {
    const { entries, statements, settled, judge, ledger, judges, revoked } = await standing();
    statements.entriesChanged();
    await settled();
    expect(judge('leaf')).toBe('standing');
    entries.clear();
    statements.entriesChanged();
    await settled();
    expect(judge('leaf')).toBe('revoked');
    const statement = { kind: 'revocation', thumbprint: print('leaf') };
    expect(judges).toMatchObject([statement]);
    expect(ledger.map(read)).toMatchObject([statement]);
    expect(revoked).toEqual([print('leaf')]);
    statements.entriesChanged();
    await settled();
    expect(ledger).toHaveLength(1);
  });

  test('those of a process that has ended are revoked when its last records are in', async () => {
    const { entries, lives, statements, settled, judge } = await standing();
    lives.exited(7, 1);
    entries.clear();
    statements.entriesChanged();
    await settled();
    expect(judge('leaf')).toBe('standing');
    await vi.advanceTimersByTimeAsync(6000);
    expect(judge('leaf')).toBe('revoked');
  });

  test('a certificate is revoked that was issued in the same moment', async () => {
    const { entries, issue, settled, statements, judge, ledger } = await standing();
    entries.clear();
    statements.entriesChanged();
    await settled();
    issue('last');
    await settled();
    expect(judge('last')).toBe('revoked');
    expect(ledger.map(read).filter(({ kind }) => kind === 'revocation')).toHaveLength(2);
  });

  test('one that has ended is not revoked any more', async () => {
    const { entries, statements, settled, ledger } = await standing();
    await vi.advanceTimersByTimeAsync(30_000);
    entries.clear();
    statements.entriesChanged();
    await settled();
    expect(ledger).toEqual([]);
  });
});
