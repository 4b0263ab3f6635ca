import { mkdir } from 'node:fs/promises';
import { refuse } from '#identity/outcome.ts';
import { launch } from '#runtime/launcher/launch.ts';
import type { PlanEntry, ProcessPlan, StepPlan } from '#runtime/supervisor/plan.ts';
import { platformMember } from '#runtime/swarm-file/resolve.ts';
import { WITNESS_NAMES, type WitnessName } from '#runtime/witness/names.ts';
import { IMAGES } from './images.ts';
import type { PlanContext } from './plan.ts';
import { witnessFolder, witnessFolders } from './witnesses.ts';

/**
 * The witnesses, and the step after which their keys are known. They need nobody, so they come up
 * beside the issuer; who judges by their signatures comes after the step.
 */
export function witnessPlans(context: PlanContext): PlanEntry[] {
  const pinned: StepPlan = {
    kind: 'step',
    name: 'witnesses',
    after: WITNESS_NAMES,
    run: () => context.witnesses.pin(),
  };
  return [...WITNESS_NAMES.map((name) => witnessPlan(context, name)), pinned];
}

function witnessPlan(context: PlanContext, name: WitnessName): ProcessPlan {
  const { swarm, run, images, witnesses } = context;
  let told: ReturnType<typeof witnesses.told> | undefined;
  return {
    kind: 'process',
    name,
    after: [],
    start: async (signal) => {
      const image = images.images.get('witness');
      if (image === undefined) return refuse('IMAGE_UNREADABLE', 'no witness image');
      // Nobody attests a witness: it is started from an image that the launcher verified itself.
      if (!image.verified) return refuse('IMAGE_UNSIGNED', 'the witness image is not signed by CI');
      told = undefined;
      // Its flags let it write in its folder, and not make it.
      await mkdir(witnessFolder(run, name), { recursive: true, mode: 0o700 });
      const launched = await launch(
        {
          name,
          image,
          hardening: IMAGES.witness ?? 'sealed',
          ownFolders: witnessFolders(run, name),
          start: () => ({
            type: 'start',
            self: platformMember(swarm.trustDomain, 'supervisor'),
            members: [],
            trustDomain: swarm.trustDomain,
            workloadSocket: run.workloadSocket,
            config: witnesses.configOf(name),
          }),
        },
        context.launcher,
        signal,
      );
      if (!launched.ok) return launched;
      launched.value.onMessage((message) => {
        if (message.type === 'witness') told = witnesses.told(name, message.vkey);
        if (message.type === 'cosigned') witnesses.cosigned(name, message);
      });
      return launched;
    },
    onReady: async () =>
      told ?? refuse('WITNESS_KEY_CHANGED', `${name}: was ready and had not told its key`),
  };
}
