import { closeSync, openSync, readdirSync, readFileSync, writeSync } from 'node:fs';
import { connect } from 'node:net';
import { basename } from 'node:path';

/**
 * The program of the images that tests build. It waits to be told to start, then does its task;
 * `witness` is a socket that it holds open, so that its death is an event for the test.
 */
interface Config {
  readonly task: 'idle' | 'probe' | 'reach' | 'fail' | 'silent' | 'deaf' | 'busy' | 'dial';
  readonly witness?: string;
  readonly read?: readonly string[];
  readonly write?: string;
  readonly dial?: { readonly path: string; readonly line: string };
  /** Another process, or this one itself when absent, and files. */
  readonly reach?: { readonly pid?: number; readonly files: readonly string[] };
  /** Bytes that are written to the launcher's channel past `process.send`. */
  readonly garble?: string;
}

const attempts: Record<string, string> = {};

async function attempt(name: string, act: () => unknown): Promise<void> {
  try {
    await act();
    attempts[name] = 'done';
  } catch (error) {
    attempts[name] = (error as NodeJS.ErrnoException).code ?? 'error';
  }
}

function builtin(name: string): unknown {
  return (
    process.getBuiltinModule(name) ?? Promise.reject(Object.assign(new Error(), { code: 'ABSENT' }))
  );
}

async function probe(paths: readonly string[], written: string): Promise<void> {
  for (const path of paths) await attempt(`read ${path}`, () => readFileSync(path));
  await attempt('read own memory', () => readFileSync('/proc/self/mem', { flag: 'r+' }));
  await attempt('write', async () => (await import('node:fs')).writeFileSync(written, ''));
  await attempt('spawn', async () => (await import('node:child_process')).spawnSync('/bin/true'));
  await attempt(
    'worker',
    async () => new (await import('node:worker_threads')).Worker('', { eval: true }),
  );
  await attempt('inspector', async () => (await import('node:inspector')).open(0));
  await attempt('addon', () => process.dlopen({ exports: {} }, '/none.node'));
  await attempt('sqlite', () => builtin('node:sqlite'));
}

/** What the kernel lets a process do to another: one whose uid it has, and one whose it has not. */
async function reach(pid: number, files: readonly string[]): Promise<void> {
  await attempt('signal', () => process.kill(pid, 'SIGCONT'));
  await attempt('inspect', () => process.kill(pid, 'SIGUSR1'));
  // Opening it asks for the same right as ptrace does.
  await attempt('memory', () => closeSync(openSync(`/proc/${pid}/mem`, 'r+')));
  await attempt('environment', () => readFileSync(`/proc/${pid}/environ`));
  await attempt('descriptors', () => readdirSync(`/proc/${pid}/fd`));
  for (const file of files) {
    await attempt(`read ${basename(file)}`, () => readFileSync(file));
    await attempt(`write ${basename(file)}`, () => closeSync(openSync(file, 'a')));
  }
}

async function dial(path: string, line: string): Promise<string> {
  const socket = connect(path);
  socket.write(`${line}\n`);
  let answer = '';
  for await (const chunk of socket) answer += chunk;
  return answer;
}

/** The channel takes what fits now; the rest follows. */
function garbled(bytes: Buffer): void {
  let written = 0;
  try {
    written = writeSync(3, bytes);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
  }
  if (written < bytes.length) setImmediate(garbled, bytes.subarray(written));
}

let config: Config | undefined;
process.on('disconnect', () => {
  if (config?.task !== 'deaf') process.exit(0);
});
process.on('SIGTERM', () => {
  if (config?.task !== 'deaf') process.exit(0);
});
process.on('message', (message: { type: string; config: Config }) => {
  if (message.type === 'stop' && config?.task !== 'deaf') process.exit(0);
  if (message.type === 'policy') process.send?.({ type: 'status', status: { alive: true } });
  if (message.type !== 'start') return;
  config = message.config;
  void run(config);
});

async function run(config: Config): Promise<void> {
  const { task, witness, read, write, dial: call, garble } = config;
  if (witness !== undefined) {
    const socket = connect(witness);
    socket.on('error', () => {});
    await new Promise((resolve) => socket.on('connect', resolve));
    socket.write(`${process.pid}\n`);
  }
  if (task === 'fail') {
    process.send?.({ type: 'fatal', detail: 'the task is to fail' }, () => process.exit(3));
    return;
  }
  if (task === 'probe') {
    await probe(read ?? [], write ?? '/none/written');
    process.send?.({
      type: 'status',
      status: { attempts, env: process.env, argv: process.execArgv },
    });
  }
  if (task === 'reach' && config.reach !== undefined) {
    await reach(config.reach.pid ?? process.pid, config.reach.files);
    process.send?.({ type: 'status', status: { attempts } });
  }
  if (task === 'dial' && call !== undefined) {
    process.send?.({ type: 'status', status: { answer: await dial(call.path, call.line) } });
  }
  if (task !== 'silent') process.send?.({ type: 'ready' });
  if (garble !== undefined) garbled(Buffer.from(garble));
  // Never again returns to its event loop, so hears of nothing any more.
  if (task === 'busy')
    setTimeout(() => {
      for (;;);
    }, 20);
}
