import { stripVTControlCharacters } from 'node:util';
import { expect, test } from 'vitest';
import { controlOf } from '#cli/inject/controls.ts';
import { compromiseLines, isAsExpected, runLines } from '#cli/inject/lines.ts';
import type { ScenarioResult } from '#cli/inject/run.ts';
import { SCENARIOS } from '#scenarios/index.ts';
import { judge, type RefusalSeen } from '#scenarios/verdict.ts';

const CAMERA = 'spiffe://city.example/agent/sensor/north/cam-3';

function result(index: number, arena: string, more: Partial<RefusalSeen> | string): ScenarioResult {
  const scenario = SCENARIOS[index] ?? expect.fail('no such scenario');
  const { letter: control, title } = controlOf(scenario.detection.code);
  const goal = typeof more === 'string' ? more : undefined;
  const refusal: RefusalSeen | undefined =
    typeof more === 'string'
      ? undefined
      : {
          code: scenario.detection.code,
          control,
          title,
          named: { id: CAMERA, by: 'the broker' },
          afterMs: 4.2,
          entry: 'A'.repeat(43),
          span: undefined,
          ...more,
        };
  return {
    scenario,
    arena,
    verdict: judge({ twin: 'passed', goal, refusal, settled: true, holder: CAMERA }),
    expected: arena === 'shared keys' ? 'succeeded' : 'stopped',
    refusal,
    steps: [{ what: 'control', text: 'reading on record', ok: true }],
    reverted: { ok: true, detail: 'sensor-cam-3 runs its own image again' },
  };
}
const plain = (lines: readonly string[]) => lines.map((line) => stripVTControlCharacters(line));

test('the pair side by side fits 80 columns, each word from a result', () => {
  const lines = plain(
    compromiseLines([
      result(0, 'shared keys', 'reached'),
      result(0, 'this swarm', {}),
      result(1, 'shared keys', 'reached'),
      result(1, 'this swarm', { afterMs: 0.2 }),
    ]),
  );
  expect(lines).toEqual([
    'Compromise           shared keys  this swarm',
    'agent-impersonation  SUCCEEDED    STOPPED by broker permissions, PUBLISH_DENIED',
    '                     nobody named; here cam-3 named, correct; 4 ms',
    'prompt-injection     SUCCEEDED    STOPPED by policy, TOOL_NOT_ALLOWED',
    '                     nobody named; here cam-3 named, correct; 1 ms',
  ]);
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(80);
});

test('somebody else named, or nobody, is said, and is not as expected', () => {
  const wrong = result(0, 'this swarm', { named: { id: `${CAMERA}0`, by: 'the broker' } });
  const nobody = result(0, 'this swarm', { named: undefined });
  expect(plain(compromiseLines([wrong])).at(-1)).toContain('here cam-30 named, WRONG');
  expect(plain(compromiseLines([nobody])).at(-1)).toContain('here nobody either');
  expect([wrong, nobody, result(0, 'this swarm', {})].map(isAsExpected)).toEqual([
    false,
    false,
    true,
  ]);
});

test('what was not put back, or ended otherwise, is not as expected', () => {
  const stopped = result(0, 'this swarm', {});
  expect(isAsExpected({ ...stopped, reverted: { ok: false, detail: '' } })).toBe(false);
  expect(isAsExpected({ ...stopped, reverted: undefined })).toBe(false);
  expect(isAsExpected(result(0, 'this swarm', 'reached'))).toBe(false);
  expect(isAsExpected(result(0, 'shared keys', 'reached'))).toBe(true);
});

test('one arena line by line, with the evidence', () => {
  expect(plain(runLines(result(0, 'this swarm', { span: 'abc' })))).toEqual([
    'this swarm',
    '  ok control  reading on record',
    '     evidence  custody show AAAAAAAAAAAA',
    '     named     /agent/sensor/north/cam-3 by the broker',
    '     trace     abc',
  ]);
});

test.each([
  ['PUBLISH_DENIED', 'B'],
  ['TOOL_NOT_ALLOWED', 'P'],
  ['BUDGET_EXCEEDED', 'U'],
  ['DOOR_SIGNER_NOT_PRESENTER', 'S'],
  ['RECORD_REPLAYED', 'F'],
  ['LEDGER_NOT_OWN_RECORD', 'L'],
  ['GATE_SVID_INVALID', 'T'],
  ['NO_ENTRY', 'At'],
  ['NOBODY_HAS_THIS', undefined],
])('%s is given by the control %s', (code, letter) => {
  expect(controlOf(code).letter).toBe(letter);
});
