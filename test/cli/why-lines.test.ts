import { expect, test } from 'vitest';
import { meaningOf } from '#cli/story/codes.ts';
import type { DecisionStory, RefusalStory } from '#cli/story/why.ts';
import { explanationLines } from '#cli/story/why-lines.ts';

/** Without colours, wherever the test runs. */
const draw = (story: RefusalStory | DecisionStory): string[] =>
  // biome-ignore lint/suspicious/noControlCharactersInRegex: colours are control sequences
  explanationLines(story).map((line) => line.replace(/\u001b\[\d+m/g, ''));

const SUPERVISOR = 'spiffe://city.example/platform/supervisor';
const ANALYZER = 'spiffe://city.example/agent/analyzer/north/analyzer-1';

function refusal(code: string, more: Partial<RefusalStory> = {}): string {
  const given = { type: 'refusal', code, presented_by: 'unknown', subject: 'gate-a', count: 1 };
  return draw({
    type: 'refusal',
    refusal: given as RefusalStory['refusal'],
    meaning: meaningOf(code),
    by: SUPERVISOR,
    name: 'abc',
    at: new Date('2026-01-01T00:00:00Z'),
    total: 2,
    verdict: 'genuine',
    ...more,
  }).join('\n');
}

test('each place of refusal is named as what it is', () => {
  expect(refusal('GATE_SVID_INVALID')).toContain("where      the broker's gate, on gate-a");
  expect(refusal('GATE_SVID_INVALID')).toContain('unknown (nobody proved who it was)');
  expect(refusal('NOT_LAUNCHED')).toContain('where      the Workload API');
  const ledger = refusal('LEDGER_NOT_OWN_RECORD', { by: 'ledger' });
  expect(ledger).toContain('where      the ledger, on gate-a');
  expect(ledger).not.toContain('recorded ');
  expect(refusal('RECORD_EXPIRED', { by: ANALYZER })).toContain(`the door of ${ANALYZER}`);
  expect(refusal('GATE_SVID_INVALID')).toContain('once in that second, 2 times in all');
});

test('a code of no table is said to be one, and is drawn all the same', () => {
  expect(refusal('SOMETHING_NEW')).toContain('a code that no table of this version has');
});

const decision: DecisionStory = {
  type: 'decision',
  decision: { id: 'd1', allow: false, reasons: ['default_deny'], revision: '' },
  rules: [{ check: 'default_deny' }],
  subject: ANALYZER,
  serial: '00ff',
  asked: 'valve.set delta_pct=5',
  askedRecord: 'a'.repeat(43),
  by: 'spiffe://city.example/service/mcp',
  answerRecord: 'b'.repeat(43),
  at: new Date('2026-01-01T00:00:00Z'),
  failure: { code: 'OPERATION_NOT_ALLOWED', status: 403, meaning: undefined },
  verdict: 'genuine',
};

test('a denial by no rule says that nothing is allowed by not being forbidden', () => {
  const lines = draw(decision);
  expect(lines[0]).toBe('DENIED     OPERATION_NOT_ALLOWED');
  expect(lines.join(' ').replace(/ +/g, ' ')).toContain('allowed by not being forbidden');
  expect(lines).toContain('revision   unknown');
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(80);
});

test('what policy allowed and the service refused all the same is told as both', () => {
  const lines = draw({
    ...decision,
    decision: { ...decision.decision, allow: true, reasons: ['tool_granted'] },
    rules: [{ check: 'tool_granted', file: 'policy/rego/authz.rego', line: 117, title: 'Listed.' }],
    failure: { code: 'CAUSE_NOT_WITNESSED', status: 200, meaning: 'unseen' },
  });
  expect(lines[0]).toBe('ALLOWED');
  expect(lines).toContain('proven     policy/rego/authz.rego:117  tool_granted');
  expect(lines.at(-1)).toBe('outcome    refused, CAUSE_NOT_WITNESSED: unseen');
});

test('a meaning is found by the code alone, in the table of its layer', () => {
  expect(meaningOf('RECORD_REPLAYED')).toMatchObject({ place: 'door', kind: 'not-authentic' });
  expect(meaningOf('LEDGER_ACT_CLAIMED')).toMatchObject({ place: 'ledger', kind: 'not-allowed' });
  expect(meaningOf('TOOL_NOT_ALLOWED')).toMatchObject({ place: 'policy' });
  expect(meaningOf('CAUSE_NOT_WITNESSED')).toMatchObject({ place: 'service' });
  expect(meaningOf('toString')).toBeUndefined();
});
