import { expect, test } from 'vitest';
import { trustLines } from '#cli/evidence/trust-lines.ts';
import { evidenceVerbs } from '#cli/wiring/evidence-control.ts';
import { parseTrust } from '#custody/evidence/trust.ts';
import { policy } from '#test/custody/evidence/support.ts';
import { noteSigner } from '#test/custody/log/support.ts';
import { value } from '#test/runtime/support.ts';
import { createWitnessedCity } from './witnessed-city.ts';

test('who asks a swarm what to pin gets every change of keys so far, with the size it counts from', async () => {
  const { evidence } = await createWitnessedCity();
  const next = noteSigner(policy.origin, 'note', 'second').verifier;
  const change = { from: 7, policy: { ...policy, log: [next] } };
  const first = { from: 0, policy };
  const pinned = async (policies: readonly (typeof first)[]) => {
    const { trust } = value(
      await evidenceVerbs({ ...evidence, policies: () => policies }).pins(),
    ) as { readonly trust: string };
    return value(parseTrust(trust));
  };
  const [before, after] = [await pinned([first]), await pinned([first, change])];
  expect(before.log.changes).toBeUndefined();
  expect(trustLines(before).join('\n')).not.toContain(next.vkey);
  const { changes, ...log } = after.log;
  expect(log).toEqual(before.log);
  expect(changes?.map(({ from, policy: { log: keys } }) => [from, keys[0]?.vkey])).toEqual([
    [7, next.vkey],
  ]);
  const told = trustLines(after);
  expect(told.indexOf(`  ${next.vkey}`)).toBe(told.indexOf('from 7 entries on instead') + 1);
});
