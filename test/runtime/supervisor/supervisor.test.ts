import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { accept, refuse } from '#identity/outcome.ts';
import { launch } from '#runtime/launcher/launch.ts';
import { BACK_OFF, pauseMs } from '#runtime/supervisor/managed.ts';
import {
  levels,
  type PlanEntry,
  type ProcessPlan,
  type StepPlan,
} from '#runtime/supervisor/plan.ts';
import type { ProcessEvent } from '#runtime/supervisor/status.ts';
import {
  createSupervisor,
  type Supervisor,
  type SupervisorOptions,
} from '#runtime/supervisor/supervisor.ts';
import { type Bench, createBench } from '../support.ts';

let bench: Bench;
let attested: string[];
let gone: string[];
let supervisor: Supervisor;
let events: ProcessEvent[];
let waiting: (() => void)[];

beforeEach(async () => {
  attested = [];
  gone = [];
  bench = await createBench({
    attest: async ({ pid, workload }) => {
      attested.push(`${workload.instance} ${pid}`);
      return accept({});
    },
    exited: (pid) => gone.push(String(pid)),
  });
});
afterEach(async () => {
  await supervisor?.stop();
  await bench.clear();
});

const FAST = { baseMs: 1, maxMs: 8, jitter: 0.3, stableMs: 30_000 };

function worker(
  name: string,
  after: readonly string[] = [],
  config: unknown = { task: 'idle' },
): ProcessPlan {
  const workload = {
    spiffeId: `spiffe://city.example/agent/sensor/north/${name}`,
    agentType: 'sensor',
    instance: name,
  };
  return {
    kind: 'process',
    name,
    after,
    spiffeId: workload.spiffeId,
    start: (signal) =>
      launch(bench.spec(config, 'sealed', { name, workload }), bench.context, signal),
  };
}

function step(
  name: string,
  after: readonly string[],
  act: () => void,
  undo?: () => void,
): StepPlan {
  return {
    kind: 'step',
    name,
    after,
    run: async () => {
      act();
      return accept({});
    },
    ...(undo === undefined ? {} : { undo: async () => undo() }),
  };
}

function supervise(plan: readonly PlanEntry[], more: Partial<SupervisorOptions> = {}): Supervisor {
  supervisor = createSupervisor({
    plan,
    now: () => new Date(),
    random: Math.random,
    backOff: FAST,
    stopGraceMs: 500,
    ...more,
  });
  events = [];
  waiting = [];
  supervisor.onEvent((event) => {
    events.push(event);
    for (const wake of waiting.splice(0)) wake();
  });
  return supervisor;
}

/** Resolves with the n-th event of a type from a process. */
async function event<T extends ProcessEvent['type']>(
  name: string,
  type: T,
  count = 1,
): Promise<Extract<ProcessEvent, { type: T }>> {
  for (;;) {
    const found = events.filter((one) => one.name === name && one.type === type)[count - 1];
    if (found !== undefined) return found as Extract<ProcessEvent, { type: T }>;
    await new Promise<void>((resolve) => waiting.push(resolve));
  }
}

const stateOf = (name: string) => supervisor.status().processes.find((one) => one.name === name);

describe('a swarm', () => {
  test('starts in the order of its plan and stops in the reverse', async () => {
    const order: string[] = [];
    supervise([
      worker('agent', ['streams']),
      step(
        'streams',
        ['broker'],
        () => order.push('streams'),
        () => order.push('streams undone'),
      ),
      worker('broker'),
    ]);
    supervisor.onEvent(({ name, type }) => {
      if (type === 'ready' || type === 'exited') order.push(`${name} ${type}`);
    });
    expect(await supervisor.start()).toMatchObject({ ok: true });
    expect(supervisor.status().state).toBe('running');
    await supervisor.stop();
    expect(order).toEqual([
      'broker ready',
      'streams',
      'agent ready',
      'agent exited',
      'streams undone',
      'broker exited',
    ]);
    expect(supervisor.status().processes.map(({ state }) => state)).toEqual(['stopped', 'stopped']);
  });

  test('tells of each process its PID, SPIFFE ID, restarts, memory and last SVID', async () => {
    supervise([worker('a')]);
    await supervisor.start();
    supervisor.noteIssued(
      'spiffe://city.example/agent/sensor/north/a',
      '0a',
      '2026-01-01T00:00:20Z',
    );
    const status = stateOf('a');
    expect(status).toMatchObject({
      state: 'ready',
      restarts: 0,
      serial: '0a',
      notAfter: '2026-01-01T00:00:20Z',
      spiffeId: 'spiffe://city.example/agent/sensor/north/a',
      pid: expect.any(Number),
    });
    if (process.platform === 'linux') {
      expect(status?.pssKiB).toBeGreaterThan(1000);
      expect(supervisor.status().pssKiB).toBeGreaterThan(status?.pssKiB ?? 0);
    }
  });

  test('starts a process that was killed with -9 again, and attests it again', async () => {
    supervise([worker('a'), worker('b')]);
    await supervisor.start();
    const first = await event('a', 'ready');
    process.kill(first.pid, 'SIGKILL');
    expect(await event('a', 'exited')).toMatchObject({ signal: 'SIGKILL', expected: false });
    const second = await event('a', 'ready', 2);
    expect(second.pid).not.toBe(first.pid);
    expect(attested.filter((text) => text.startsWith('a '))).toEqual([
      `a ${first.pid}`,
      `a ${second.pid}`,
    ]);
    expect(gone).toEqual([String(first.pid)]);
    expect(stateOf('a')).toMatchObject({ state: 'ready', restarts: 1 });
    // Its neighbour noticed nothing.
    expect(stateOf('b')).toMatchObject({ state: 'ready', restarts: 0 });
  });

  test('waits longer before each restart in a row', async () => {
    supervise([worker('a', [], { task: 'fail' })], { firstStartTries: 4, random: () => 0.5 });
    expect(await supervisor.start()).toMatchObject({ ok: false, code: 'NOT_READY' });
    const pauses = events.flatMap((one) => (one.type === 'restarting' ? [one.inMs] : []));
    expect(pauses.slice(0, 3)).toEqual([1, 2, 4]);
  });

  test('that cannot come up says why in one line, and leaves nothing', async () => {
    supervise([
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
    supervise([worker('mute', [], { task: 'silent' })], {
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
    supervise([worker('a'), broken]);
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
    supervise([worker('a'), thrown]);
    expect(await supervisor.start()).toEqual(refuse('NOT_READY', 'streams: a bug'));
    const started = { ...worker('b'), start: () => Promise.reject(new Error('a bug')) };
    await supervisor.stop();
    supervise([started]);
    expect(await supervisor.start()).toEqual(
      refuse('NOT_READY', 'b: not ready after 3 starts: a bug'),
    );
  });

  test('kills what does not stop when asked and told', async () => {
    supervise([worker('deaf', [], { task: 'deaf' })], { stopGraceMs: 100 });
    await supervisor.start();
    await supervisor.stop();
    expect(await event('deaf', 'exited')).toMatchObject({ signal: 'SIGKILL', expected: true });
  });

  test('can be stopped while it starts, even when the issuer never answers', async () => {
    const asked = Promise.withResolvers<void>();
    const context = {
      ...bench.context,
      attest: () => {
        asked.resolve();
        return new Promise<never>(() => {});
      },
    };
    supervise([
      {
        kind: 'process',
        name: 'stuck',
        after: [],
        start: (signal) => launch(bench.spec({ task: 'idle' }), context, signal),
      },
    ]);
    const started = supervisor.start();
    await asked.promise;
    await supervisor.stop();
    expect(await started).toMatchObject({ ok: false });
    expect(stateOf('stuck')).toMatchObject({ state: 'stopped' });
  });

  test('takes in a process for a task and ends it for good', async () => {
    supervise([worker('a')]);
    await supervisor.start();
    expect(await supervisor.add(worker('task'))).toMatchObject({ ok: true });
    expect(await supervisor.add(worker('task'))).toMatchObject({ ok: false });
    const { pid } = await event('task', 'ready');
    expect(await supervisor.remove('task')).toMatchObject({ ok: true });
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
    expect(gone).toContain(String(pid));
  });

  test('starts what the issuer refuses to hear of, and leaves nothing of it', async () => {
    const context = {
      ...bench.context,
      attest: async () => refuse('ATTESTATION_SIGNATURE', 'wrong signature'),
    };
    const outcome = await launch(bench.spec({ task: 'idle' }), context);
    expect(outcome).toMatchObject({ ok: false, code: 'SPAWN_FAILED' });
    expect(outcome.ok ? '' : outcome.detail).toContain('wrong signature');
    supervise([]);
  });
});

describe('a plan', () => {
  test('is put into levels', () => {
    const names = levels([worker('c', ['a', 'b']), worker('a'), worker('b', ['a'])]).map((level) =>
      level.map(({ name }) => name),
    );
    expect(names).toEqual([['a'], ['b'], ['c']]);
  });

  test.each([
    ['a circle', [worker('a', ['b']), worker('b', ['a'])], 'wait for each other'],
    ['an unknown name', [worker('a', ['x'])], 'after unknown x'],
    ['a double name', [worker('a'), worker('a')], 'twice'],
  ])('with %s is a bug', (_what, plan, said) => {
    expect(() => levels(plan)).toThrow(said);
  });
});

describe('the pause before a restart', () => {
  test('doubles up to its limit, and varies by its jitter', () => {
    expect([0, 1, 2, 50].map((failures) => pauseMs(BACK_OFF, failures, 0.5))).toEqual([
      200, 400, 800, 10_000,
    ]);
    expect([0, 1].map((random) => pauseMs(BACK_OFF, 0, random))).toEqual([140, 260]);
  });
});
