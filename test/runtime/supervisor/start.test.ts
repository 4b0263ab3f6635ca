import { describe, expect, test } from 'vitest';
import { refuse } from '#identity/outcome.ts';
import { launch } from '#runtime/launcher/launch.ts';
import type { StepPlan } from '#runtime/supervisor/plan.ts';
import { useStage } from './stage.ts';

const { bench, attested, events, worker, supervise, stateOf } = useStage();

describe('a start', () => {
  test('waits longer before each restart in a row', async () => {
    const supervisor = supervise([worker('a', [], { task: 'fail' })], {
      firstStartTries: 4,
      random: () => 0.5,
    });
    expect(await supervisor.start()).toMatchObject({ ok: false, code: 'NOT_READY' });
    const pauses = events.flatMap((one) => (one.type === 'restarting' ? [one.inMs] : []));
    expect(pauses.slice(0, 3)).toEqual([1, 2, 4]);
  });

  test('that cannot come up says why in one line, and leaves nothing', async () => {
    const supervisor = supervise([
      worker('good'),
      worker('bad', ['good'], { task: 'fail' }),
      worker('never', ['bad']),
    ]);
    const outcome = await supervisor.start();
    expect(outcome).toEqual(
      refuse('NOT_READY', 'bad: not ready after 3 starts: the task is to fail'),
    );
    expect(supervisor.status().processes.map(({ state }) => state)).toEqual([
      'stopped',
      'stopped',
      'stopped',
    ]);
    expect(attested.some((text) => text.startsWith('never'))).toBe(false);
    for (const { pid } of events.flatMap((one) => (one.type === 'started' ? [one] : []))) {
      expect(() => process.kill(pid, 0)).toThrow('ESRCH');
    }
  });

  test('ends a process that never becomes ready, in its time', async () => {
    const supervisor = supervise([worker('mute', [], { task: 'silent' })], {
      readyTimeoutMs: 300,
      firstStartTries: 1,
    });
    expect(await supervisor.start()).toMatchObject({ ok: false, code: 'NOT_READY' });
  });

  test('gives up a step that is refused', async () => {
    const broken: StepPlan = {
      kind: 'step',
      name: 'streams',
      after: [],
      run: async () => refuse('NO_BROKER', 'no broker answers'),
    };
    const supervisor = supervise([worker('a'), broken]);
    expect(await supervisor.start()).toEqual(refuse('NO_BROKER', 'streams: no broker answers'));
  });

  test('takes a throw of the wiring as a refusal, and stops what stands', async () => {
    const thrown: StepPlan = {
      kind: 'step',
      name: 'streams',
      after: ['a'],
      run: async () => {
        throw new Error('a bug');
      },
    };
    const supervisor = supervise([worker('a'), thrown]);
    expect(await supervisor.start()).toEqual(refuse('NOT_READY', 'streams: a bug'));
    const started = { ...worker('b'), start: () => Promise.reject(new Error('a bug')) };
    await supervisor.stop();
    const again = supervise([started]);
    expect(await again.start()).toEqual(refuse('NOT_READY', 'b: not ready after 3 starts: a bug'));
  });

  test('can be stopped while it starts, even when the issuer never answers', async () => {
    const asked = Promise.withResolvers<void>();
    const context = {
      ...bench().context,
      attest: () => {
        asked.resolve();
        return new Promise<never>(() => {});
      },
    };
    const supervisor = supervise([
      {
        kind: 'process',
        name: 'stuck',
        after: [],
        start: (signal) => launch(bench().spec({ task: 'idle' }), context, signal),
      },
    ]);
    const started = supervisor.start();
    await asked.promise;
    await supervisor.stop();
    expect(await started).toMatchObject({ ok: false });
    expect(stateOf('stuck')).toMatchObject({ state: 'stopped' });
  });

  test('starts what the issuer refuses to hear of, and leaves nothing of it', async () => {
    const context = {
      ...bench().context,
      attest: async () => refuse('ATTESTATION_SIGNATURE', 'wrong signature'),
    };
    const outcome = await launch(bench().spec({ task: 'idle' }), context);
    expect(outcome).toMatchObject({ ok: false, code: 'SPAWN_FAILED' });
    expect(outcome.ok ? '' : outcome.detail).toContain('wrong signature');
  });
});
