import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { CHECKOUT } from '../wiring/checkout.ts';
import { type FromAttack, fromAttackSchema, type ToAttack } from './attack-protocol.ts';

/** The attack's process, as the runner drives it. Each step resolves when the process says so. */
export interface AttackProcess {
  readonly pid: number;
  /** Resolves when the process waits for what its foothold gives. */
  begin(message: Extract<ToAttack, { type: 'begin' }>): Promise<void>;
  /** Resolves when the foothold is there. */
  holding(): Promise<void>;
  control(at: string): Promise<void>;
  /** Nanoseconds of the monotonic clock at the first malicious byte. */
  attack(): Promise<bigint>;
  /** Ends it; resolves when it is gone. */
  end(): Promise<void>;
}

/** Its own failure, as it tells it: no verdict is made of it, only a line for the person. */
export class AttackFailed extends Error {}

export async function startAttack(): Promise<AttackProcess> {
  const entry = join(CHECKOUT, 'cli', 'processes', 'attack.ts');
  const flags = ['--disable-sigusr1', '--disable-warning=ExperimentalWarning'];
  const child = spawn(process.execPath, [...flags, entry], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    // Nothing of the runner's environment: it may hold a key.
    env: {},
    // A group of its own: Ctrl-C reaches the runner alone, which puts everything back first.
    detached: true,
  });
  let failure: string | undefined;
  let errors = '';
  child.stderr?.on('data', (data: Buffer) => {
    errors = (errors + data.toString('utf8')).slice(-500);
  });
  const said: FromAttack[] = [];
  const waiting = new Set<() => void>();
  const wake = (): void => {
    for (const look of waiting) look();
  };
  child.on('message', (message) => {
    const parsed = fromAttackSchema.safeParse(message);
    if (!parsed.success) failure ??= 'the attack said what is not its protocol';
    else if (parsed.data.type === 'failed') failure ??= parsed.data.detail;
    else said.push(parsed.data);
    wake();
  });
  const gone = once(child, 'exit').then(() => {
    failure ??= `the attack's process has ended: ${errors.trim().split('\n').at(-1) ?? ''}`;
    wake();
  });
  child.on('error', (error) => {
    failure ??= error.message;
    wake();
  });
  await once(child, 'spawn');

  function next<T extends FromAttack['type']>(type: T): Promise<Extract<FromAttack, { type: T }>> {
    return new Promise((resolve, reject) => {
      const look = (): void => {
        const at = said.findIndex((one) => one.type === type);
        const [found] = at === -1 ? [] : said.splice(at, 1);
        if (found === undefined && failure === undefined) return;
        waiting.delete(look);
        if (found === undefined) reject(new AttackFailed(failure));
        else resolve(found as Extract<FromAttack, { type: T }>);
      };
      waiting.add(look);
      look();
    });
  }
  const tell = (message: ToAttack): void => {
    if (child.connected) child.send(message, () => {});
  };

  return {
    pid: child.pid ?? 0,
    begin: async (message) => {
      tell(message);
      await next('listening');
    },
    holding: async () => {
      await next('holding');
    },
    control: async (at) => {
      tell({ type: 'control', at });
      await next('done');
    },
    attack: async () => {
      tell({ type: 'attack' });
      const { at } = await next('struck');
      await next('done');
      return BigInt(at);
    },
    end: async () => {
      if (child.connected) child.disconnect();
      child.kill('SIGKILL');
      await gone;
    },
  };
}
