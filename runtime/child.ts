import type { FromChild, StartMessage, ToChild } from './process-protocol.ts';

/** A process' end of the launcher's channel. */
export interface Child {
  readonly start: StartMessage;
  send(message: FromChild): void;
  /** Called on `stop`, and when the launcher is gone; then the process leaves, at the latest after 1 s. */
  onStop(cleanUp: () => Promise<void> | void): void;
  onPolicy(listener: (policy: { readonly bundle: string; readonly data: unknown }) => void): void;
}

const LEAVE_WITHIN_MS = 1000;

function isToChild(message: unknown): message is ToChild {
  return typeof message === 'object' && message !== null && 'type' in message;
}

/**
 * Waits for the launcher's start message. A process whose launcher is gone ends: nobody would
 * report its death to the issuer, and nobody would stop it.
 */
export async function connectToLauncher(): Promise<Child> {
  const started = Promise.withResolvers<StartMessage>();
  const cleanUps: (() => Promise<void> | void)[] = [];
  const policies: Parameters<Child['onPolicy']>[0][] = [];
  let leaving = false;
  const leave = (): void => {
    if (leaving) return;
    leaving = true;
    setTimeout(() => process.exit(0), LEAVE_WITHIN_MS).unref();
    void Promise.allSettled(cleanUps.map(async (cleanUp) => cleanUp())).then(() => process.exit(0));
  };
  if (process.send === undefined || !process.connected) {
    throw new Error('this process is started by the launcher, not by hand');
  }
  process.on('disconnect', leave);
  process.on('SIGTERM', leave);
  // The terminal's Ctrl-C reaches the whole group; the supervisor decides who stops when.
  process.on('SIGINT', () => {});
  process.on('message', (message: unknown) => {
    if (!isToChild(message)) return;
    if (message.type === 'start') started.resolve(message);
    else if (message.type === 'stop') leave();
    else for (const listener of policies) listener(message);
  });
  return {
    start: await started.promise,
    send: (message) => {
      if (process.connected) process.send?.(message, () => {});
    },
    onStop: (cleanUp) => {
      cleanUps.push(cleanUp);
    },
    onPolicy: (listener) => {
      policies.push(listener);
    },
  };
}
