import { afterEach, expect, test } from 'vitest';
import { parseAck } from '#custody/ack.ts';
import { createRecorder, type Recorder } from '../../cli/wiring/recorder.ts';

let recorder: Recorder | undefined;
afterEach(() => recorder?.close());

test("a gate's refusal is recorded; what another process calls one, or a code of its own, is not", async () => {
  const told: unknown[] = [];
  recorder = createRecorder(() => 1_000_000);
  recorder.attach({
    record: async ({ payload }) => {
      const ack = parseAck(payload);
      told.push(ack.ok ? ack.value : ack);
      return 'id' as never;
    },
  });
  recorder.gateRefused('cam-1', 'GATE_SVID_INVALID');
  recorder.gateRefused('gate-a', 'NOT_A_CODE_OF_GATES');
  // Outside of what can be signed: it was thrown where nobody caught it, and ended the swarm.
  recorder.gateRefused('gate-a', '\ud800');
  recorder.gateRefused('gate-a', 'GATE_SVID_INVALID');
  recorder.gateRefused('gate-b', 'GATE_SVID_INVALID');
  await recorder.close();
  expect(told).toEqual([
    {
      type: 'refusal',
      code: 'GATE_SVID_INVALID',
      presented_by: 'unknown',
      subject: 'gate-a',
      count: 2,
    },
  ]);
});
