import { agentImpersonation } from './agent-impersonation.ts';
import { promptInjection } from './prompt-injection.ts';
import type { Scenario } from './scenario.ts';

/** Every scenario; a new one is a file and a line here. */
export const SCENARIOS: readonly Scenario[] = [agentImpersonation, promptInjection];

export function scenarioOf(id: string): Scenario | undefined {
  return SCENARIOS.find((one) => one.id === id);
}
