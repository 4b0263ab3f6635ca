import type { BusAlarm } from '#bus/client/alarms.ts';
import { createDirectory, type Directory } from '#bus/directory.ts';
import { startTelemetry, type Telemetry } from '#observability/process.ts';
import type { FromChild, StartMessage, ToChild } from '#runtime/process-protocol.ts';

/** What a process leaves running after its start; `close` ends it cleanly. */
export interface Running {
  close(): Promise<void>;
  status?(): Readonly<Record<string, unknown>>;
  /** New rules while running; a throw keeps the old ones. */
  onPolicy?(policy: { readonly bundle: string; readonly data: unknown }): Promise<void>;
}

export interface ProcessContext {
  readonly start: StartMessage;
  readonly report: (message: FromChild) => void;
  /** What the layers tell of this process's work goes to the supervisor as spans. */
  readonly telemetry: Telemetry;
  /** Statements about certificates, as they come; those that came before come at once. */
  readonly onStanding: (listener: (notes: readonly string[]) => void) => void;
  /** The ledger's alone: statements to be entered, the same way. */
  readonly onStatement: (listener: (note: string) => void) => void;
}

/** What comes before it is asked for, in its order. One process has few of them at its start. */
interface Early<T> {
  take(value: T): void;
  listen(listener: (value: T) => void): void;
}

function createEarly<T>(): Early<T> {
  const early: T[] = [];
  const listeners: ((value: T) => void)[] = [];
  return {
    take: (value) => {
      if (listeners.length === 0) early.push(value);
      for (const listener of listeners) listener(value);
    },
    listen: (listener) => {
      listeners.push(listener);
      for (const value of early.splice(0)) listener(value);
    },
  };
}

const STATUS_INTERVAL_MS = 500;
/** For the last spans, when all else is done: a supervisor that does not read is not waited for. */
const LAST_SPANS_MS = 250;

/**
 * The life of every Node process of a swarm: wait for the launcher's start message, run, say
 * `ready`, leave when told to or when the launcher is gone. A process without a launcher does
 * nothing: it has no attestation, so no identity either.
 */
export function runProcess(main: (context: ProcessContext) => Promise<Running>): void {
  const report = (message: FromChild): void => {
    if (process.connected) process.send?.(message, undefined, undefined, () => {});
  };
  if (process.send === undefined) {
    process.stderr.write("this is a process of a swarm: start one with 'swarmproof up'\n");
    process.exit(2);
  }
  let running: Running | undefined;
  let telemetry: Telemetry | undefined;
  let started = false;
  const standing = createEarly<readonly string[]>();
  const statements = createEarly<string>();
  // The launcher's end of this channel closes with the launcher, however it dies.
  process.on('disconnect', () => process.exit(0));
  process.on('SIGINT', () => {}); // The terminal's Ctrl-C reaches the whole group; the launcher decides.
  const stop = async (): Promise<void> => {
    await running?.close().catch(() => {});
    await telemetry?.flush(LAST_SPANS_MS);
    process.exit(0);
  };
  process.on('SIGTERM', () => void stop());
  process.on('message', (message: ToChild) => {
    if (message.type === 'stop') void stop();
    if (message.type === 'standing') standing.take(message.notes);
    if (message.type === 'statement') statements.take(message.note);
    if (message.type === 'policy') {
      running?.onPolicy?.(message).catch((error: unknown) => {
        process.stderr.write(`policy not loaded, the old rules stay: ${messageOf(error)}\n`);
      });
    }
    if (message.type === 'start' && !started) {
      started = true;
      standing.take(message.standing ?? []);
      telemetry = startTelemetry({
        id: message.self.token,
        role: message.self.role,
        send: (spans, written) => {
          if (!process.connected || process.send === undefined) return false;
          process.send(spans, undefined, undefined, written);
          return true;
        },
      });
      const onStanding = standing.listen;
      const onStatement = statements.listen;
      main({ start: message, report, telemetry, onStanding, onStatement }).then(
        (result) => {
          running = result;
          report({ type: 'ready' });
          const sendStatus = (): void => {
            const status = result.status?.();
            if (status !== undefined) report({ type: 'status', status });
          };
          sendStatus();
          setInterval(sendStatus, STATUS_INTERVAL_MS).unref();
        },
        (error: unknown) => {
          report({ type: 'fatal', detail: messageOf(error) });
          process.stderr.write(`${messageOf(error)}\n`);
          process.exit(1);
        },
      );
    }
  });
}

/** Alarms of a process's own bus, over the channel that it was started with. */
export function alarmsTo(report: ProcessContext['report']): (alarm: BusAlarm) => void {
  return ({ code, about, detail, over }) =>
    report({ type: 'alarm', code, detail, about, ...(over && { over }) });
}

/** Everyone of the swarm, from the start message. */
export function directoryOf(start: StartMessage): Directory {
  return createDirectory(start.members);
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** @throws Error naming the secret, never its value. */
export function secretOf(start: StartMessage, name: string): string {
  const secret = start.secrets?.[name];
  if (secret === undefined) throw new Error(`start message carries no secret "${name}"`);
  return secret;
}
