import { chmodSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CHECKOUT } from '#cli/wiring/checkout.ts';
import { buildImages, IMAGE_CACHE } from '#cli/wiring/images.ts';
import { type RunningSwarm, startSwarm } from '#cli/wiring/swarm.ts';
import { createImageBuilder } from '#runtime/images/build.ts';
import { createImageSigner } from '#runtime/images/sign.ts';
import { processStartTime } from '#runtime/process-info.ts';
import type { ProcessEvent } from '#runtime/supervisor/status.ts';
import { natsServer, opaIfThere } from '#test/tools.ts';

const CI_FOLDER = join(CHECKOUT, '.swarmproof', 'ci');

/** A folder of the test's own, short enough for sockets and open to uids of the swarm's own. */
export function folder(): { readonly path: string; remove(): void } {
  const path = realpathSync(mkdtempSync(join(tmpdir(), 'sw-')));
  chmodSync(path, 0o711);
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** The images as they are used in earnest, built and signed where the sources have changed. */
export async function images(): Promise<void> {
  await buildImages(() => {});
}

/** Images with a test's own program in the place of a role, signed as CI would sign it. */
export async function imagesWith(
  cache: string,
  programs: Readonly<Record<string, string>>,
): Promise<(name: string) => string> {
  const signer = await createImageSigner(CI_FOLDER);
  if (!signer.ok) throw new Error(signer.detail);
  const builder = createImageBuilder(CHECKOUT, cache);
  for (const [name, entry] of Object.entries(programs)) {
    const built = await builder.build({ name, version: 'test', entry: join(CHECKOUT, entry) });
    if (!built.ok) throw new Error(built.detail);
    const signed = await signer.value.sign(built.value.folder);
    if (!signed.ok) throw new Error(signed.detail);
  }
  return (name) => join(Object.hasOwn(programs, name) ? cache : IMAGE_CACHE, name);
}

export interface AgentSpec {
  readonly role: string;
  readonly name: string;
  readonly district?: string;
  readonly [more: string]: unknown;
}

/** Notices an incident after few readings, and the next one soon after it. */
const QUICK = { window: 32, warmup: 16, refractory: 2 };
/** What it asks for once may take its time: an answer that is too late leads to no order. */
const PATIENT_MS = 30_000;
export const ANALYZER: AgentSpec = {
  role: 'analyzer',
  name: 'analyzer-1',
  detector: QUICK,
  timeoutMs: PATIENT_MS,
};
export const ACTION: AgentSpec = { role: 'action', name: 'action-1' };

/** A swarm file like the project's own, with these agents. Written as JSON, which is YAML too. */
export function swarmFile(
  path: string,
  agents: readonly AgentSpec[],
  more: Readonly<Record<string, unknown>> = {},
): string {
  const file = join(path, `swarm-${agents.length}.yaml`);
  const content = {
    apiVersion: 'swarmproof/v1',
    name: 'city',
    trustDomain: 'city.example',
    svidTtl: '20s',
    roles: {
      sensor: { publish: ['reading'] },
      analyzer: {
        consume: ['reading'],
        publish: ['finding'],
        services: ['llm', 'vector'],
        models: ['city-small'],
        collections: { runbooks: ['read'] },
        tools: ['signal.set_plan'],
        budget: { callsPerMinute: 6000, tokensPerHour: 5_000_000 },
      },
      action: { consume: ['finding'], services: ['mcp'], tools: ['signal.set_plan'] },
    },
    agents: agents.map((agent) => ({ district: 'north', ...agent })),
    services: {
      llm: { models: ['city-small'] },
      vector: { collections: ['runbooks'] },
      mcp: { services: ['city-works'] },
      'city-works': {},
    },
    tools: {
      'signal.set_plan': { arguments: { plan: { enum: ['A', 'B', 'C'] } } },
      'valve.set': { highRisk: true, arguments: { delta_pct: { min: -10, max: 10 } } },
    },
    ...more,
  };
  writeFileSync(file, JSON.stringify(content));
  return file;
}

/** Starts the real swarm in this process. */
export async function start(options: {
  readonly file: string;
  readonly runPath: string;
  readonly inputs?: readonly string[];
  readonly imageFolder?: (name: string) => string;
}): Promise<RunningSwarm> {
  await images();
  return startSwarm({
    inputs: [],
    runId: 'test',
    natsServer: natsServer(),
    opa: await opaIfThere(),
    ...options,
  });
}

/** Resolves with the first event that fits, of those still to come. */
export function event(
  running: RunningSwarm,
  fits: (event: ProcessEvent) => boolean,
): Promise<ProcessEvent> {
  return new Promise((resolve) => {
    const stop = running.onEvent((one) => {
      if (!fits(one)) return;
      stop();
      resolve(one);
    });
  });
}

export function pidOf(running: RunningSwarm, name: string): number {
  const pid = running.status().processes.find((one) => one.name === name)?.pid;
  if (pid === undefined) throw new Error(`${name} does not run`);
  return pid;
}

/** SIGKILL to each; resolves when all are ready again, with the milliseconds that it took. */
export async function killAndRecover(
  running: RunningSwarm,
  ...names: readonly string[]
): Promise<number> {
  const began = performance.now();
  const back = names.map((name) => {
    const pid = pidOf(running, name);
    return event(running, (one) => one.type === 'ready' && one.name === name && one.pid !== pid);
  });
  for (const name of names) process.kill(pidOf(running, name), 'SIGKILL');
  await Promise.all(back);
  return Math.round(performance.now() - began);
}

/**
 * How many of the processes still live after at most `limitMs`, looked at until none does; the end
 * of another's child has no event to await. A zombie has ended.
 */
export async function survivors(pids: readonly number[], limitMs: number): Promise<number[]> {
  const until = performance.now() + limitMs;
  for (;;) {
    const starts = await Promise.all(pids.map((pid) => processStartTime(pid)));
    const left = pids.filter((_pid, index) => starts[index] !== undefined);
    if (left.length === 0 || performance.now() >= until) return left;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
