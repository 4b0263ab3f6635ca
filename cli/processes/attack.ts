import { scenarioOf } from '#scenarios/index.ts';
import { type Hold, isAgentScenario, type Scenario, type Strike } from '#scenarios/scenario.ts';
import type { FromAttack, ToAttack } from '../inject/attack-protocol.ts';
import { feedHold } from '../inject/hold/feed.ts';
import { identifiedHold } from '../inject/hold/identified.ts';
import { meetImplant } from '../inject/hold/meet.ts';
import { withKeyHold } from '../inject/hold/with-key.ts';
import { messageOf } from '../wiring/process.ts';

/**
 * The attacker: a process of its own, outside of the swarm, that is told what its foothold holds and
 * nothing more. It ends with the runner. No image is made of it, and nothing attests it.
 */
const say = (message: FromAttack): void => {
  if (process.connected) process.send?.(message, undefined, undefined, () => {});
};

async function take(holds: Extract<ToAttack, { type: 'begin' }>['holds']): Promise<Hold> {
  if (holds.kind === 'text in a reading') {
    say({ type: 'listening' });
    return feedHold(holds.feed);
  }
  const meeting = await meetImplant(holds.socket);
  say({ type: 'listening' });
  const { start, source } = await meeting.given;
  return source === undefined ? withKeyHold(start) : identifiedHold(start, source);
}

function perform<H extends Hold>(
  {
    control,
    attack,
  }: {
    readonly control: (hold: H, at: string) => Promise<void>;
    readonly attack: (hold: H, strike: Strike) => Promise<void>;
  },
  hold: H,
  message: ToAttack,
  strike: Strike,
): Promise<void> {
  return message.type === 'control' ? control(hold, message.at) : attack(hold, strike);
}

function act(scenario: Scenario, hold: Hold, message: ToAttack): Promise<void> {
  const strike = (): void => say({ type: 'struck', at: process.hrtime.bigint().toString() });
  if (isAgentScenario(scenario)) {
    if (hold.kind === 'code in an agent') return perform(scenario, hold, message, strike);
  } else if (hold.kind === 'text in a reading') return perform(scenario, hold, message, strike);
  throw new Error(`${scenario.id} needs another foothold than ${hold.kind}`);
}

let begun: { readonly scenario: Scenario; readonly hold: Hold } | undefined;

async function hear(message: ToAttack): Promise<void> {
  if (message.type === 'begin') {
    const scenario = scenarioOf(message.scenario);
    if (scenario === undefined) throw new Error(`no scenario ${message.scenario}`);
    begun = { scenario, hold: await take(message.holds) };
    return say({ type: 'holding' });
  }
  if (begun === undefined) throw new Error('nothing is held yet');
  await act(begun.scenario, begun.hold, message);
  say({ type: 'done', what: message.type });
}

process.on('disconnect', () => process.exit(0));
process.on('SIGINT', () => {}); // The runner decides, and ends this process when all is put back.
process.on('message', (message: ToAttack) => {
  hear(message).catch((error: unknown) =>
    say({ type: 'failed', detail: messageOf(error).slice(0, 500) }),
  );
});
