import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { accept } from '#identity/outcome.ts';
import type { BundleSet } from '#identity/svid.ts';
import { loadBundle, type PolicyBundle } from '#policy/bundle.ts';
import type { RuleLocation } from '#policy/compile.ts';
import { storeImage } from '#runtime/images/store.ts';
import type { Isolation } from '#runtime/launcher/isolation.ts';
import { createIssuerLink, type IssuerLink } from '#runtime/launcher/issuer-link.ts';
import { findLifeline } from '#runtime/launcher/lifeline.ts';
import { openRunFolder, type RunFolder } from '#runtime/run-folder.ts';
import type { ProcessEvent, SwarmStatus } from '#runtime/supervisor/status.ts';
import { createSupervisor, type Supervisor } from '#runtime/supervisor/supervisor.ts';
import { policyData } from '#runtime/swarm-file/policy-data.ts';
import type { Swarm } from '#runtime/swarm-file/resolve.ts';
import { createBroker, createBrokerKeys } from './broker.ts';
import { outsideBroker } from './broker-session.ts';
import { createBrokerUpkeep } from './broker-upkeep.ts';
import { CHECKOUT } from './checkout.ts';
import type { Control } from './controls.ts';
import { withDenials } from './denials.ts';
import { imagesOf, storeImages } from './images.ts';
import { isolate } from './isolation.ts';
import type { LedgerView } from './ledger-view.ts';
import { type PlanContext, swarmPlan } from './plan.ts';
import { watchPolicy } from './policy-watch.ts';
import { must, readSwarm, SwarmRefused } from './read-swarm.ts';
import { createRecorder, type Observed } from './recorder.ts';
import { type AgentReplacer, createReplacer, createRollouts } from './rollout.ts';
import { observeSocket } from './start-messages.ts';
import { openSupervisorBus, type SupervisorBus } from './supervisor-bus.ts';
import { type OtlpTarget, openTraces, type Traces } from './traces.ts';
import { variantOff } from './variants.ts';

export { readSwarm, SwarmRefused } from './read-swarm.ts';

const POLICY_FOLDER = join(CHECKOUT, 'policy');
const UPKEEP_EVERY_MS = 60_000;
const base64 = ({ bytes }: PolicyBundle): string => Buffer.from(bytes).toString('base64');

export interface SwarmOptions {
  /** Path of the swarm file. */
  readonly file: string;
  /** `NAME=FILE`, one per `--input`. */
  readonly inputs: readonly string[];
  readonly runPath: string;
  readonly runId: string;
  readonly natsServer: string;
  /** Somebody else runs the broker on this port of 127.0.0.1; `natsServer` is not used then. */
  readonly brokerPort?: number | undefined;
  readonly opa: string | undefined;
  readonly upstreamApiKey?: string;
  /** First uid of the range for its processes, which must then be had; `off`: one uid for all. */
  readonly uids?: number | 'off' | undefined;
  /** Where spans go beside the run's own file. */
  readonly otlp?: OtlpTarget;
  /** Where an image lies that is not taken from the cache; for demonstrations of a changed one. */
  readonly imageFolder?: (name: string) => string;
  /** Controls that are off, each by another module of the wiring in the images; default: none. */
  readonly off?: readonly Control[];
  /** Told of images that have to be built for that first. */
  readonly progress?: (line: string) => void;
  /** Aborts the start; a swarm that runs is ended by its own `stop`. */
  readonly signal?: AbortSignal;
}

export interface RunningSwarm extends Pick<IssuerLink, 'administer'> {
  readonly swarm: Swarm;
  readonly run: RunFolder;
  readonly ledger: LedgerView;
  /** The roots under which records are judged. */
  readonly trust: () => BundleSet;
  /** Check → where its rule stands, of the bundle in force. */
  readonly rules: () => Readonly<Record<string, RuleLocation>>;
  /** Socket on which the city works show their state. */
  readonly observe: string;
  readonly traces: Traces;
  /** Rolls out another signed image, or another input, to one agent: by its token or name. */
  readonly replaceAgent: AgentReplacer['replace'];
  readonly rollbackAgent: AgentReplacer['rollback'];
  /** How its processes are kept apart, and where they are not: why. */
  readonly isolation: Isolation;
  status(): SwarmStatus;
  onEvent(listener: (event: ProcessEvent) => void): () => void;
  /** The rules changed while the swarm runs, or new ones could not be loaded: one line. */
  onPolicy(listener: (what: string) => void): () => void;
  onIssued(listener: (issued: Issued) => void): () => void;
  /** Refusals that no door makes, when they happen: the issuer's, the gates' and the broker's. */
  onRefusal(listener: (refusal: Observed) => void): () => void;
  stop(): Promise<void>;
}

export interface Issued {
  readonly spiffeId: string;
  readonly serial: string;
  readonly notAfter: string;
}

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
  let own: SupervisorBus | undefined;
  const endings: (() => void)[] = [];
  try {
    const images = await storeImages(run.store, await imageFolders(options));
    const issuer = createIssuerLink();
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
      rollouts,
      launcher: {
        node: program(process.execPath),
        store: run.store,
        logs: run.logs,
        lifeline,
        uids,
        attest: (claims) => issuer.attest(claims),
        exited: (pid, startTime) => issuer.exited(pid, startTime),
      },
      upkeep,
      onSupervisor: async (source) => {
        own = await openSupervisorBus(context, source, traces.propagate);
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
          const message = { type: 'policy', bundle, data: policyData(swarm) } as const;
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
      issuer.close();
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
      trust: () => source.bundles(),
      rules: () => rules,
      observe: observeSocket(run),
      traces: traces.view,
      replaceAgent: replacer.replace,
      rollbackAgent: replacer.rollback,
      administer: issuer.administer,
      isolation,
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
