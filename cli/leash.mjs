/**
 * Preloaded before main.ts. The wrapper holds the other end of the IPC channel; when it is gone,
 * even by SIGKILL, this process is asked to stop as by a terminal, and made to after five seconds.
 */

const GRACE_MS = 5_000;

if (process.channel !== undefined && process.channel !== null) {
  process.once('disconnect', () => {
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), GRACE_MS).unref();
    process.kill(process.pid, 'SIGTERM');
  });
  // The channel alone must not keep a finished command alive.
  process.channel.unref();
}
