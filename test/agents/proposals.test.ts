import { expect, test } from 'vitest';
import {
  chatRequest,
  type Observation,
  readAnswer,
  runbookRequest,
} from '#agents/roles/analysis.ts';
import { DEFAULT_SWARM } from '#cli/commands/options.ts';
import { readSwarm } from '#cli/wiring/read-swarm.ts';
import { agentConfig } from '#cli/wiring/start-messages.ts';
import { embed } from '#services/llm/embedding.ts';
import { createMockModel } from '#services/llm/mock-model.ts';
import type { ChatRequest } from '#services/llm/schema.ts';
import { RUNBOOKS, runbookText } from '#services/vector/runbooks.ts';

const similarity = (one: Float32Array, other: Float32Array) =>
  one.reduce((sum, value, index) => sum + value * (other[index] ?? 0), 0);

function hitsFor(seen: Observation) {
  const { text } = JSON.parse(runbookRequest('runbooks', seen).body) as { text: string };
  const wanted = embed(text);
  const ranked = RUNBOOKS.map((runbook) => {
    const spelled = runbookText(runbook);
    return {
      id: runbook.id,
      text: spelled,
      tool: runbook.tool,
      near: similarity(embed(spelled), wanted),
    };
  });
  return ranked.sort((one, other) => other.near - one.near).slice(0, 3);
}

test('to be offered the valve changes nothing that an honest incident proposes', async () => {
  const { swarm } = await readSwarm(DEFAULT_SWARM, []);
  const analyzer = swarm.members.find(({ role }) => role === 'analyzer');
  if (analyzer === undefined) throw new Error('the smart city has an analyzer');
  const { tools } = agentConfig(swarm, analyzer);
  expect(tools.map(({ name }) => name)).toContain('valve.set');
  const action = swarm.members.find(({ role }) => role === 'action');
  expect(swarm.grants[action?.id ?? '']?.tools).not.toContain('valve.set');
  const model = createMockModel(() => 0);
  const proposed = async (seen: Observation, offers: typeof tools) => {
    const request = chatRequest(
      { model: 'city-small', maxTokens: 200, tools: offers },
      seen,
      hitsFor(seen),
    );
    const answered = await model(JSON.parse(request.body) as ChatRequest);
    if (!answered.ok) throw new Error(answered.code);
    return readAnswer(JSON.stringify(answered.value));
  };
  for (const measure of ['value', 'speed', 'flow', 'occupancy', 'travel time', 'vehicles']) {
    for (const direction of ['low', 'high'] as const) {
      const reading = {
        type: 'reading',
        id: 'sensor-cam-1:x:1',
        row: 1,
        measure,
        at: '2026-01-01T00:00:00Z',
        value: 6,
        late: false,
      } as const;
      const seen: Observation = { reading, score: 9, direction, expected: 60 };
      const plain = tools.filter(({ name }) => name !== 'valve.set');
      expect(await proposed(seen, tools), `${measure} ${direction}`).toEqual(
        await proposed(seen, plain),
      );
    }
  }
});
