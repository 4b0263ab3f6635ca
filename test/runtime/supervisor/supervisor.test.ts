import { describe, expect, test } from 'vitest';
import { step, useStage } from './stage.ts';

const { attested, gone, worker, supervise, event, stateOf } = useStage();

describe('a swarm', () => {
  test('starts in the order of its plan and stops in the reverse', async () => {
    const order: string[] = [];
    const supervisor = supervise([
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
    const supervisor = supervise([worker('a')]);
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

  test.each([
    ['no JSON', 'this is no message\n'],
    ['no message of a process', '{"cmd":"NODE_HANDLE_ACK"}\n'],
    ['a refusal without a code', '{"type":"refused","code":"\\ud800","detail":""}\n'],
    ['no UTF-8', '\u0000{"type":"ready"\ud800\n'],
    ['longer than any message', `"${'a'.repeat(300 * 1024)}`],
  ])(
    'ends a process that says over its channel what is %s, and no other',
    async (_what, garble) => {
      const supervisor = supervise([
        worker('rogue', [], { task: 'idle', garble }),
        worker('honest', [], { task: 'idle', garble: '{"type":"status","status":{"n":1}}\n' }),
      ]);
      await supervisor.start();
      const ended = await event('rogue', 'exited');
      expect(ended).toMatchObject({ signal: 'SIGKILL', expected: false });
      expect(ended.detail).toContain('said over its channel');
      const honest = { state: 'ready', restarts: 0, report: { n: 1 } };
      await expect.poll(() => stateOf('honest')).toMatchObject(honest);
    },
  );

  test('shows what a process says of itself without what a terminal would obey', async () => {
    const says = (detail: string) => `${JSON.stringify({ type: 'quarantined', detail })}\n`;
    const supervisor = supervise([
      worker('rogue', [], { task: 'idle', garble: says('\u001b[2J\u202e all \n is well') }),
      worker('honest', [], { task: 'idle', garble: says('NO_ENTRY: é') }),
    ]);
    await supervisor.start();
    expect((await event('rogue', 'quarantined')).detail).toBe('?[2J? all ? is well');
    expect((await event('honest', 'quarantined')).detail).toBe('NO_ENTRY: é');
  });

  test('starts a process that was killed with -9 again, and attests it again', async () => {
    const supervisor = supervise([worker('a'), worker('b')]);
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

  test('kills what does not stop when asked and told', async () => {
    const supervisor = supervise([worker('deaf', [], { task: 'deaf' })], { stopGraceMs: 100 });
    await supervisor.start();
    await supervisor.stop();
    expect(await event('deaf', 'exited')).toMatchObject({ signal: 'SIGKILL', expected: true });
  });

  test('takes in a process for a task and ends it for good', async () => {
    const supervisor = supervise([worker('a')]);
    await supervisor.start();
    expect(await supervisor.add(worker('task'))).toMatchObject({ ok: true });
    expect(await supervisor.add(worker('task'))).toMatchObject({ ok: false });
    const { pid } = await event('task', 'ready');
    expect(await supervisor.remove('task')).toMatchObject({ ok: true });
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
    expect(gone).toContain(String(pid));
  });
});
