import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CHECKOUT } from '#cli/wiring/checkout.ts';
import { askControl, findControl } from '#runtime/control/client.ts';
import type { SwarmStatus } from '#runtime/supervisor/status.ts';
import { natsServer } from '#test/tools.ts';

/** `swarmproof` as a child process: what a person starts, and what a test may kill. */
export interface Cli {
  readonly child: ChildProcess;
  /** Resolves with everything it wrote when it has ended. */
  readonly ended: Promise<{ readonly code: number | null; readonly output: string }>;
  /** Resolves when it has written this; fails when it ends without. */
  said(text: string): Promise<void>;
}

export function swarmproof(...args: readonly string[]): Cli {
  return swarmproofIn({}, ...args);
}

/** The same with more in its environment. */
export function swarmproofIn(
  environment: Readonly<Record<string, string>>,
  ...args: readonly string[]
): Cli {
  const flags = ['--disable-sigusr1', '--disable-warning=ExperimentalWarning'];
  const main = join(CHECKOUT, 'cli', 'main.ts');
  const child = spawn(process.execPath, [...flags, main, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: '/usr/bin:/bin',
      SWARMPROOF_NATS_SERVER: natsServer(),
      ...environment,
    },
  });
  let output = '';
  const waiting = new Set<() => void>();
  const take = (data: Buffer) => {
    output += data.toString();
    for (const look of waiting) look();
  };
  child.stdout?.on('data', take);
  child.stderr?.on('data', take);
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, output }));
  return {
    child,
    ended,
    said: (text) => {
      const heard = new Promise<void>((resolve) => {
        const look = () => {
          if (!output.includes(text)) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
      });
      const gone = ended.then(({ code }) => {
        if (!output.includes(text)) throw new Error(`ended (${code}) without "${text}": ${output}`);
      });
      return Promise.race([heard, gone]);
    },
  };
}

/** The status that a running swarm gives over its control socket. */
export async function statusOf(runPath: string): Promise<SwarmStatus> {
  const address = await findControl(runPath);
  if (!address.ok) throw new Error(address.detail);
  const answer = await askControl(address.value, 'status');
  if (!answer.ok) throw new Error(answer.detail);
  return answer.value as SwarmStatus;
}

export function pidsIn(status: SwarmStatus): readonly number[] {
  return status.processes.flatMap(({ pid }) => (pid === undefined ? [] : [pid]));
}

/** Everything that a process has started, and what that has started; Linux only. */
export function descendants(pid: number): number[] {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim().split(' ');
    return children
      .filter((text) => text !== '')
      .flatMap((text) => [Number(text), ...descendants(Number(text))]);
  } catch {
    return [];
  }
}
