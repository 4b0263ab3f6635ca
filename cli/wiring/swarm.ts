import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { accept } from '#identity/outcome.ts';
import { loadBundle, type PolicyBundle } from '#policy/bundle.ts';
import { storeImage } from '#runtime/images/store.ts';
import { createIssuerLink } from '#runtime/launcher/issuer-link.ts';
import { findLifeline } from '#runtime/launcher/lifeline.ts';
import { openRunFolder } from '#runtime/run-folder.ts';
import { createSupervisor, type Supervisor } from '#runtime/supervisor/supervisor.ts';
import { policyData } from '#runtime/swarm-file/policy-data.ts';
import { platformMember } from '#runtime/swarm-file/resolve.ts';
import { createAlarms } from './alarms.ts';
import { createBroker, createBrokerKeys } from './broker.ts';
import { createCutter } from './broker-cut.ts';
import { outsideBroker } from './broker-session.ts';
import { createBrokerUpkeep } from './broker-upkeep.ts';
import { CHECKOUT } from './checkout.ts';
import { watchCheckpoints } from './checkpoint-watch.ts';
import { openCustodyKeys } from './custody-keys.ts';
import { withDenials } from './denials.ts';
import { imagesOf, storeImages } from './images.ts';
import { isolate } from './isolation.ts';
import { openIssuanceLog } from './issuance-log.ts';
import { knownRoots } from './known-roots.ts';
import { type PlanContext, swarmPlan } from './plan.ts';
import { watchPolicy } from './policy-watch.ts';
import { must, readSwarm, SwarmRefused } from './read-swarm.ts';
import { createRecorder, type Observed } from './recorder.ts';
import { createReplacer, createRollouts } from './rollout.ts';
import type { Issued, RunningSwarm, SwarmOptions } from './running-swarm.ts';
import { observeSocket } from './start-messages.ts';
import { openSupervisorBus, type SupervisorBus } from './supervisor-bus.ts';
import { openTraces } from './traces.ts';
import { variantOff } from './variants.ts';
import { createWitnesses } from './witnesses.ts';

export { readSwarm, SwarmRefused } from './read-swarm.ts';
export type { Issued, RunningSwarm, SwarmOptions } from './running-swarm.ts';

const POLICY_FOLDER = join(CHECKOUT, 'policy');
const UPKEEP_EVERY_MS = 60_000;
const WATCH_EVERY_MS = 1000;
const base64 = ({ bytes }: PolicyBundle): string => Buffer.from(bytes).toString('base64');

async function imageFolders({ imageFolder, off = [], progress = () => {} }: SwarmOptions) {
  if (off.length === 0) return imageFolder;
  // Images from elsewhere would have the control on that is said to be off.
  if (imageFolder !== undefined) throw new Error('a swarm has a control off, or its own images');
  return imagesOf(variantOff(off), progress);
}

/** Starts a swarm and resolves when every process is ready. @throws SwarmRefused when one is not. */
export async function startSwarm(options: SwarmOptions): Promise<RunningSwarm> {
  const { swarm, inputs } = await readSwarm(options.file, options.inputs);
  const policy = loadBundle(POLICY_FOLDER, options.opa);
  let bundle = base64(policy);
  let rules = policy.manifest.rules;
  const run = must(
    await openRunFolder({ path: options.runPath, id: options.runId, tempDir: tmpdir() }),
  );
  const issuedListeners = new Set<(issued: Issued) => void>();
  let supervisor: Supervisor | undefined;
  const refusalListeners = new Set<(refusal: Observed) => void>();
  const tokens = new Map<string, string>(swarm.members.map(({ id, token }) => [id, token]));
  const recorder = createRecorder(Date.now, {
    tokenOf: (id) => tokens.get(id),
    onRefusal: (refusal) => {
      for (const listener of refusalListeners) listener(refusal);
    },
  });
  const traces = openTraces({ runPath: run.path, swarm, otlp: options.otlp });
  const alarms = createAlarms({ now: () => new Date() });
  let own: SupervisorBus | undefined;
  const endings: (() => void)[] = [];
  try {
    const custodyKeys = must(
      await openCustodyKeys({ folder: run.custody, trustDomain: swarm.trustDomain }),
    );
    const witnesses = createWitnesses({ swarm, run, keys: custodyKeys });
    const images = await storeImages(run.store, await imageFolders(options));
    const issuer = createIssuerLink();
    const issuances = openIssuanceLog({
      swarm,
      issuer,
      attester: custodyKeys.attester,
      ciKey: images.ciKey,
      alarm: (code, detail, id) => alarms.raise(code, detail, tokens.get(id)),
      onRevoked: ({ thumbprint }) => cut(thumbprint),
      clock: Date.now,
    });
    endings.push(issuances.close);
    const rollouts = createRollouts({ swarm, images: images.images, inputs });
    must(await issuer.setEntries(rollouts.entries()));
    issuer.onEvent((event) => {
      if (event.event === 'denied') {
        recorder.denied(event.pid, event.detail);
      }
      if (event.event !== 'issued') return;
      supervisor?.noteIssued(event.spiffeId, event.serial, event.notAfter);
      for (const listener of issuedListeners) listener(event);
    });
    const lifeline = await findLifeline();
    const { isolation, uids, program } = await isolate({
      run,
      swarm,
      node: process.execPath,
      natsServer: options.natsServer,
      inputs: inputs.values(),
      range: options.uids,
    });
    const keys = createBrokerKeys();
    const broker = createBroker({
      run,
      natsServer: program(options.natsServer),
      keys,
      lifeline,
      uids,
      serverName: swarm.name,
      onLine: (line) => recorder.brokerSaid(line),
      ...outsideBroker(options.brokerPort, issuer, swarm.trustDomain, keys),
    });
    const cut = createCutter(
      () =>
        own && {
          source: own.source,
          url: context.natsUrl(),
          brokerId: platformMember(swarm.trustDomain, 'nats').id,
          nkeySeed: keys.system.seed,
          random: Math.random,
          clock: Date.now,
        },
    );
    const upkeep = createBrokerUpkeep({
      issuer,
      run,
      trustDomain: swarm.trustDomain,
      owner: options.brokerPort === undefined ? uids?.of('nats-server') : undefined,
    });
    const context: PlanContext = {
      swarm,
      run,
      policyBundle: () => bundle,
      natsUrl: () => `tls://127.0.0.1:${broker.port() ?? 0}`,
      ...(options.upstreamApiKey !== undefined && { upstreamApiKey: options.upstreamApiKey }),
      images,
      issuer,
      broker,
      keys,
      custodyKeys,
      witnesses,
      issuances,
      rollouts,
      launcher: {
        node: program(process.execPath),
        store: run.store,
        logs: run.logs,
        lifeline,
        uids,
        ...issuances.launcher,
      },
      upkeep,
      onSupervisor: async (source) => {
        own = await openSupervisorBus(context, source, traces.propagate, alarms);
        recorder.attach(own.bus);
        return accept({});
      },
      denialOf: issuer.denialOf,
      onSupervisorStop: async () => {
        await recorder.close();
        await own?.close();
      },
    };
    supervisor = createSupervisor({
      plan: swarmPlan(context),
      now: () => new Date(),
      random: Math.random,
    });
    const running = supervisor;
    traces.follow(running);
    endings.push(alarms.follow(running));
    const { newest } = witnesses;
    const watch = watchCheckpoints({ supervisor: running, alarms, newest, now: Date.now });
    endings.push(watch.close);
    issuances.follow(running);
    issuances.policy({ bundle: policy.bytes, data: policyData(swarm) });
    const policyListeners = new Set<(what: string) => void>();
    const tellPolicy = (what: string): void => {
      for (const listener of policyListeners) listener(what);
    };
    running.onEvent((event) => {
      if (event.type !== 'started') return;
      running.process(event.name)?.onMessage((message) => {
        if (message.type === 'refused') recorder.gateRefused(event.name, message.code);
      });
    });
    const timer = setInterval(async () => {
      if (await upkeep.renew(new Date())) running.process('nats')?.reload?.();
    }, UPKEEP_EVERY_MS);
    endings.push(() => clearInterval(timer));
    endings.push(
      watchPolicy(POLICY_FOLDER, policy, {
        changed: (next) => {
          bundle = base64(next);
          rules = next.manifest.rules;
          const data = policyData(swarm);
          issuances.policy({ bundle: next.bytes, data });
          const message = { type: 'policy', bundle, data } as const;
          for (const { name } of running.status().processes) running.process(name)?.send(message);
          tellPolicy(`new rules, bundle ${next.manifest.bundle.slice(0, 12)}`);
        },
        failed: (why) => tellPolicy(`the old rules stay: ${why}`),
      }),
    );
    const stop = async (): Promise<void> => {
      recorder.ending();
      for (const end of endings.splice(0)) end();
      await running.stop();
      issuer.close();
      await traces.close();
      await run.close();
    };
    // What waits for the issuer waits no longer.
    const abort = (): void => {
      issuer.release();
      void running.stop();
    };
    options.signal?.addEventListener('abort', abort);
    if (options.signal?.aborted === true) abort();
    const started = await running.start();
    options.signal?.removeEventListener('abort', abort);
    if (!started.ok || own === undefined) {
      await stop();
      throw new SwarmRefused(started.ok ? 'the swarm did not come up' : started.detail);
    }
    const { ledger, source } = own;
    const watching = setInterval(watch.tick, WATCH_EVERY_MS);
    endings.push(() => clearInterval(watching));
    const replacer = createReplacer({
      rollouts,
      supervisor: running,
      issuer,
      store: (folder) => storeImage(folder, run.store, [images.ciKey]),
    });
    return {
      swarm,
      run,
      ledger,
      trust: knownRoots({
        source,
        ledger,
        attester: custodyKeys.attester.verifier,
        clock: Date.now,
      }),
      rules: () => rules,
      observe: observeSocket(run),
      traces: traces.view,
      alarms,
      replaceAgent: replacer.replace,
      rollbackAgent: replacer.rollback,
      administer: issuer.administer,
      isolation,
      evidence: {
        ledger,
        policies: witnesses.policies,
        pins: witnesses.pins,
        trust: () => source.bundles(),
        members: swarm.members.map(({ id }) => id),
      },
      issuances,
      witnessed: () => ({ quorum: witnesses.pins().quorum, newest: witnesses.newest() }),
      status: () => withDenials(running.status(), issuer.denialOf),
      onEvent: (listener) => running.onEvent(listener),
      onPolicy: (listener) => {
        policyListeners.add(listener);
        return () => policyListeners.delete(listener);
      },
      onIssued: (listener) => {
        issuedListeners.add(listener);
        return () => issuedListeners.delete(listener);
      },
      onRefusal: (listener) => {
        refusalListeners.add(listener);
        return () => refusalListeners.delete(listener);
      },
      stop,
    };
  } catch (error) {
    for (const end of endings.splice(0)) end();
    await supervisor?.stop();
    await traces.close();
    await run.close();
    throw error;
  }
}
