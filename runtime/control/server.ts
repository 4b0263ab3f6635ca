import { chmod } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { openLines } from '#identity/issuer/lines.ts';
import { accept, type Outcome } from '#identity/outcome.ts';
import { stateRefusal } from '../file-errors.ts';
import { MAX_REQUEST_BYTES, parseRequest, sameToken } from './protocol.ts';

/** Answers one request; `part` sends a line of a stream, `signal` aborts when the caller is gone. */
export type ControlVerb = (
  args: Readonly<Record<string, unknown>>,
  part: (value: unknown) => void,
  signal: AbortSignal,
) => Promise<Outcome<unknown>>;

export interface ControlServer {
  close(): Promise<void>;
}

const MAX_CONNECTIONS = 32;
/** Whoever connects and says nothing holds a place for so long and no longer. */
const REQUEST_WITHIN_MS = 5000;

/**
 * Serves verbs on a Unix socket, 0600 and behind a token: with one uid for all, the mode of a file
 * stops no agent, but an agent cannot read the token's file under its flags.
 */
export async function serveControl(
  socketPath: string,
  token: string,
  verbs: Readonly<Record<string, ControlVerb>>,
): Promise<Outcome<ControlServer, 'STATE_UNWRITABLE' | 'STATE_FULL'>> {
  const sockets = new Set<Socket>();

  const serve = (socket: Socket): void => {
    sockets.add(socket);
    const gone = new AbortController();
    const timer = setTimeout(() => socket.destroy(), REQUEST_WITHIN_MS);
    let asked = false;
    const fail = (code: string, detail: string): void => {
      clearTimeout(timer);
      socket.end(`${JSON.stringify({ type: 'error', code, detail })}\n`);
    };
    const perform = async (line: string): Promise<void> => {
      const request = parseRequest(line);
      if (!request.ok) return fail(request.code, request.detail);
      const { token: given, verb, args } = request.value;
      // The token first: without it nothing is learned, not even which verbs exist.
      if (!sameToken(given, token)) return fail('CONTROL_DENIED', 'the control token is wrong');
      const action = Object.hasOwn(verbs, verb) ? verbs[verb] : undefined;
      if (action === undefined) {
        const known = Object.keys(verbs).sort().join(', ');
        return fail('CONTROL_VERB_UNKNOWN', `no verb "${verb}"; known: ${known}`);
      }
      try {
        const outcome = await action(
          args,
          (value) => lines.send({ type: 'part', value }),
          gone.signal,
        );
        if (!outcome.ok) return fail(outcome.code, outcome.detail);
        socket.end(`${JSON.stringify({ type: 'end', value: outcome.value })}\n`);
      } catch (error) {
        fail('CONTROL_FAILED', error instanceof Error ? error.message : 'unknown error');
      }
    };
    const lines = openLines(
      socket,
      {
        line: (line) => {
          clearTimeout(timer);
          if (asked) return lines.close();
          asked = true;
          void perform(line);
        },
        closed: () => {
          clearTimeout(timer);
          sockets.delete(socket);
          gone.abort();
        },
      },
      MAX_REQUEST_BYTES,
    );
  };

  const server = createServer({ allowHalfOpen: false }, serve);
  server.maxConnections = MAX_CONNECTIONS;
  const listening = Promise.withResolvers<unknown>();
  server.on('error', listening.resolve);
  server.listen(socketPath, () => listening.resolve(undefined));
  const error = await listening.promise;
  if (error !== undefined) return stateRefusal(socketPath, error);
  await chmod(socketPath, 0o600);
  return accept({
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  });
}
