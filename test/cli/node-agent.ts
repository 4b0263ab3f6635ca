import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { start } from './support.ts';

/** `swarmproof identity join`, a process of its own, and what it prints. */
export class Agent {
  readonly child: ChildProcess;
  out = '';
  err = '';
  #heard = Promise.withResolvers<void>();
  readonly ended: Promise<number | null>;

  constructor(stateDir: string, args: readonly string[]) {
    const child = start(stateDir, ['identity', 'join', ...args]);
    this.child = child;
    const hear = (): void => {
      this.#heard.resolve();
      this.#heard = Promise.withResolvers();
    };
    child.stdout.on('data', (data: Buffer) => {
      this.out += data.toString();
      hear();
    });
    child.stderr.on('data', (data: Buffer) => {
      this.err += data.toString();
      hear();
    });
    this.ended = once(child, 'close').then(([code]) => {
      hear();
      return code as number | null;
    });
  }

  /** Resolves when it has printed this; rejects with what it said when it ends before. */
  async says(what: string): Promise<void> {
    while (!this.out.includes(what) && !this.err.includes(what)) {
      if (this.child.exitCode !== null) throw new Error(`the agent ended: ${this.err}`);
      await this.#heard.promise;
    }
  }

  async end(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    this.child.kill(signal);
    return this.ended;
  }
}
