import { describe, expect, test } from 'vitest';
import { accept, refuse } from '#identity/outcome.ts';
import { step, useStage } from './stage.ts';

const { attested, worker, supervise, event, events, stateOf } = useStage();

describe('another life that was asked for', () => {
  test('begins at once when the present one has ended in order, and is no failure', async () => {
    const order: string[] = [];
    const supervisor = supervise([worker('a'), worker('b')], {
      backOff: { baseMs: 60_000, maxMs: 60_000, jitter: 0, stableMs: 0 },
    });
    supervisor.onEvent(({ name, type }) => order.push(`${name} ${type}`));
    await supervisor.start();
    const before = { a: stateOf('a')?.pid, b: stateOf('b')?.pid };
    order.length = 0;
    const outcome = await supervisor.restart('a', async () => {
      order.push('between');
      return accept({});
    });
    expect(outcome).toMatchObject({ ok: true });
    expect(order).toEqual(['a exited', 'between', 'a started', 'a ready']);
    expect(stateOf('a')).toMatchObject({ state: 'ready', restarts: 0 });
    expect(stateOf('a')?.pid).not.toBe(before.a);
    expect(stateOf('b')?.pid).toBe(before.b);
    expect(events.find(({ type }) => type === 'exited')).toMatchObject({ expected: true });
    expect(attested.at(-1)).toBe(`a ${stateOf('a')?.pid}`);
  });

  test('is one like the last when what comes between is refused', async () => {
    const supervisor = supervise([worker('a')]);
    await supervisor.start();
    const outcome = await supervisor.restart('a', async () => refuse('ENTRY_INVALID', 'no'));
    expect(outcome).toMatchObject({ ok: false, code: 'ENTRY_INVALID' });
    await event('a', 'ready', 2);
    expect(stateOf('a')?.state).toBe('ready');
  });

  test('does not wait for the end of a pause', async () => {
    const supervisor = supervise([worker('a')], {
      backOff: { baseMs: 60_000, maxMs: 60_000, jitter: 0, stableMs: 60_000 },
    });
    await supervisor.start();
    process.kill(stateOf('a')?.pid ?? 0, 'SIGKILL');
    await event('a', 'restarting');
    expect(await supervisor.restart('a', async () => accept({}))).toMatchObject({ ok: true });
    expect(stateOf('a')?.state).toBe('ready');
  });

  test('is refused for a name that is none, for a step, twice at once, and at the end', async () => {
    const supervisor = supervise([worker('a'), step('streams', [], () => {})]);
    await supervisor.start();
    const none = async () => accept({});
    for (const name of ['b', 'streams']) {
      expect(await supervisor.restart(name, none)).toMatchObject({ ok: false, code: 'NOT_READY' });
    }
    const both = await Promise.all([supervisor.restart('a', none), supervisor.restart('a', none)]);
    expect(both).toMatchObject([{ ok: true }, { ok: false, code: 'NOT_READY' }]);
    await supervisor.stop();
    expect(await supervisor.restart('a', none)).toMatchObject({ ok: false, code: 'NOT_READY' });
  });
});
