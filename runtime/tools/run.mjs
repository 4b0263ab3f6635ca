import { spawn } from 'node:child_process';

/**
 * @typedef {object} RunOptions
 * @property {number} timeoutMs limit on the whole run; the process group is killed when it is over
 * @property {string} [cwd]
 * @property {NodeJS.ProcessEnv} [env]
 * @property {AbortSignal} [signal]
 */

/**
 * @typedef {object} RunResult
 * @property {boolean} ok ended by itself with code 0
 * @property {string} stdout
 * @property {string} stderr
 * @property {string} why one line: how it failed; empty when `ok`
 */

/** Enough to hold any version line or error; what a tool prints beyond it is dropped. */
const KEPT_OUTPUT = 256 * 1024;

/**
 * Runs a program without a shell to its end and never throws. It gets its own process group, so
 * that a time-out also ends the compilers and downloaders that it started.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {RunOptions} options
 * @returns {Promise<RunResult>}
 */
export function run(command, args, options) {
  return new Promise((resolve) => {
    const child = spawn(command, [...args], {
      cwd: options.cwd,
      env: options.env,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const output = { stdout: '', stderr: '' };
    let ended = '';
    /** @param {string} why */
    const end = (why) => {
      if (ended !== '' || child.pid === undefined) return;
      ended = why;
      try {
        process.kill(-child.pid, 'SIGKILL');
      } catch {
        // It ended by itself in the meantime.
      }
    };
    const timer = setTimeout(
      () => end(`no end after ${options.timeoutMs / 1000} s`),
      options.timeoutMs,
    );
    const onAbort = () => end('interrupted');
    if (options.signal?.aborted) onAbort();
    options.signal?.addEventListener('abort', onAbort);
    /** @param {'stdout' | 'stderr'} name @param {Buffer} chunk */
    const keep = (name, chunk) => {
      output[name] = (output[name] + chunk.toString()).slice(-KEPT_OUTPUT);
    };
    child.stdout.on('data', (chunk) => keep('stdout', chunk));
    child.stderr.on('data', (chunk) => keep('stderr', chunk));
    /** @param {string} why */
    const settle = (why) => {
      clearTimeout(timer);
      options.signal?.removeEventListener('abort', onAbort);
      resolve({ ok: why === '', ...output, why });
    };
    child.on('error', (error) => settle(`${command}: ${error.message}`));
    child.on('close', (code, signal) => {
      if (ended !== '') settle(ended);
      else if (code === 0) settle('');
      else
        settle(lastLine(output.stderr) || lastLine(output.stdout) || `ended by ${signal ?? code}`);
    });
  });
}

/** @param {string} text @returns {string} */
export function lastLine(text) {
  return text.trim().split('\n').at(-1)?.trim() ?? '';
}

/** @param {unknown} error @returns {string} one line, with the network's own code where there is one */
export function reasonOf(error) {
  if (!(error instanceof Error)) return String(error);
  const cause = error.cause instanceof Error ? error.cause : undefined;
  return (cause?.message || error.message).split('\n')[0] ?? '';
}
