import { randomBytes } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { accept, refuse } from '#identity/outcome.ts';
import { storeImage } from '#runtime/images/store.ts';
import { findLifeline } from '#runtime/launcher/lifeline.ts';
import { createNatsServer } from '#runtime/launcher/nats-server.ts';
import { openRunFolder, type RunFolder } from '#runtime/run-folder.ts';
import type { ProcessEvent, SwarmStatus } from '#runtime/supervisor/status.ts';
import { createSupervisor } from '#runtime/supervisor/supervisor.ts';
import type { Swarm } from '#runtime/swarm-file/resolve.ts';
import { IMAGES, imagesOf, storeImages } from '../images.ts';
import { messageOf } from '../process.ts';
import { type AgentReplacer, createReplacer, createRollouts } from '../rollout.ts';
import { observeSocket } from '../start-messages.ts';
import { readSwarm, type SwarmOptions, SwarmRefused } from '../swarm.ts';
import { SHARED_KEYS } from '../variants.ts';
import { openPlainLog, type PlainLog } from './log.ts';
import { sharedKeysPlan } from './plan.ts';
import { renderSharedKeyConfig } from './server-config.ts';

/** Agents and services alone: there is no issuer, no gate and no ledger. */
const NAMES = Object.keys(IMAGES).filter((name) => !['issuer', 'gate', 'ledger'].includes(name));

export type SharedKeysOptions = Omit<SwarmOptions, 'opa' | 'off'>;

export interface SharedKeysSwarm {
  readonly swarm: Swarm;
  readonly run: RunFolder;
  /** Socket on which the city works show their state. */
  readonly observe: string;
  /** `nats://127.0.0.1:PORT`: open to whoever has the key. */
  readonly natsUrl: string;
  /** The one key of this run: whoever watches the broker needs it too. */
  readonly key: string;
  /** Path of the swarm's log: a line for each message, by its sender's own account. */
  readonly log: string;
  readonly replaceAgent: AgentReplacer['replace'];
  readonly rollbackAgent: AgentReplacer['rollback'];
  status(): SwarmStatus;
  onEvent(listener: (event: ProcessEvent) => void): () => void;
  stop(): Promise<void>;
}

/**
 * The state of affairs before: the same agents and services, held together by one API key that all
 * of them have. Nothing is encrypted, nobody is identified, nothing is signed, what anybody asks is
 * done, and the log is a text file. The key is made for the run, travels as a deployment's
 * environment would, and lies in the broker's configuration, readable for this user alone.
 * @throws SwarmRefused when a process is not ready.
 */
export async function startSharedKeys(options: SharedKeysOptions): Promise<SharedKeysSwarm> {
  const { swarm, inputs } = await readSwarm(options.file, options.inputs);
  const folders =
    options.imageFolder ?? (await imagesOf(SHARED_KEYS, options.progress ?? (() => {}), NAMES));
  const opened = await openRunFolder({
    path: options.runPath,
    id: options.runId,
    tempDir: tmpdir(),
  });
  if (!opened.ok) throw new SwarmRefused(opened.detail);
  const run = opened.value;
  const key = randomBytes(32).toString('hex');
  const log = join(run.path, 'messages.log');
  let end = (): Promise<void> => run.close();
  try {
    const images = await storeImages(run.store, folders, NAMES);
    const rollouts = createRollouts({ swarm, images: images.images, inputs });
    const lifeline = await findLifeline();
    const broker = createNatsServer({
      program: options.natsServer,
      folder: run.nats,
      logs: run.logs,
      lifeline,
      render: (port, { portsFolder, pidFile }) =>
        renderSharedKeyConfig({
          serverName: swarm.name,
          port,
          portsFileDir: portsFolder,
          pidFile,
          key,
        }),
    });
    const natsUrl = (): string => `nats://127.0.0.1:${broker.port() ?? 0}`;
    let plainLog: PlainLog | undefined;
    const supervisor = createSupervisor({
      plan: sharedKeysPlan({
        swarm,
        run,
        key,
        natsUrl,
        policyBundle: () => '',
        ...(options.upstreamApiKey !== undefined && { upstreamApiKey: options.upstreamApiKey }),
        broker,
        rollouts,
        launcher: {
          node: process.execPath,
          store: run.store,
          logs: run.logs,
          lifeline,
          attest: async () => refuse('ISSUER_UNAVAILABLE', 'nobody is attested here'),
          exited: () => {},
        },
        openLog: async () => {
          try {
            plainLog = await openPlainLog(log, natsUrl(), key);
            return accept({});
          } catch (error) {
            return refuse('LOG_NOT_OPENED', messageOf(error));
          }
        },
        closeLog: async () => plainLog?.close(),
      }),
      now: () => new Date(),
      random: Math.random,
    });
    end = async () => {
      await supervisor.stop();
      // The key ends with the run.
      await rm(join(run.nats, 'nats-server.conf'), { force: true });
      await run.close();
    };
    const abort = (): void => void supervisor.stop();
    options.signal?.addEventListener('abort', abort);
    if (options.signal?.aborted === true) abort();
    const started = await supervisor.start();
    options.signal?.removeEventListener('abort', abort);
    if (!started.ok) throw new SwarmRefused(started.detail);
    const replacer = createReplacer({
      rollouts,
      supervisor,
      issuer: { setEntries: async () => accept({}) },
      store: (folder) => storeImage(folder, run.store, [images.ciKey]),
    });
    return {
      swarm,
      run,
      observe: observeSocket(run),
      natsUrl: natsUrl(),
      key,
      log,
      replaceAgent: replacer.replace,
      rollbackAgent: replacer.rollback,
      status: () => supervisor.status(),
      onEvent: (listener) => supervisor.onEvent(listener),
      stop: end,
    };
  } catch (error) {
    await end();
    throw error;
  }
}
