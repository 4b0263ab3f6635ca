import { readFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { openLines } from '#identity/issuer/lines.ts';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import { MAX_REPLY_BYTES, MAX_REQUEST_BYTES, parseReply } from './protocol.ts';

/** Where a running swarm listens, and the token that it asks for. */
export interface ControlAddress {
  readonly socketPath: string;
  readonly token: string;
}

/** Finds the control socket of the swarm that runs in a run folder. */
export async function findControl(
  runFolder: string,
): Promise<Outcome<ControlAddress, 'CONTROL_UNREACHABLE' | 'CONTROL_DENIED'>> {
  try {
    const socketPath = await readFile(join(runFolder, 'control.path'), 'utf8');
    const token = await readFile(join(runFolder, 'control.token'), 'utf8');
    return accept({ socketPath, token });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EACCES') {
      return refuse('CONTROL_DENIED', `${runFolder}: this swarm belongs to another user`);
    }
    return refuse(
      'CONTROL_UNREACHABLE',
      `${runFolder}: no swarm runs here; start one with \`swarmproof up\``,
    );
  }
}

/** Asks a running swarm; `part` receives each line of a stream. Ends early when `signal` aborts. */
export async function askControl(
  address: ControlAddress,
  verb: string,
  args: Readonly<Record<string, unknown>> = {},
  part: (value: unknown) => void = () => {},
  signal?: AbortSignal,
): Promise<Outcome<unknown>> {
  const request = { token: address.token, verb, args };
  if (Buffer.byteLength(JSON.stringify(request)) > MAX_REQUEST_BYTES) {
    return refuse('CONTROL_MESSAGE_TOO_LARGE', `a request has at most ${MAX_REQUEST_BYTES} bytes`);
  }
  const { promise, resolve } = Promise.withResolvers<Outcome<unknown>>();
  const socket = connect(address.socketPath);
  const unreachable = refuse('CONTROL_UNREACHABLE', `${address.socketPath}: no swarm answers here`);
  socket.on('connect', () => lines.send(request));
  const lines = openLines(
    socket,
    {
      line: (line) => {
        const reply = parseReply(line);
        if (!reply.ok) {
          resolve(reply);
          return lines.close();
        }
        switch (reply.value.type) {
          case 'part':
            return part(reply.value.value);
          case 'end':
            return resolve(accept(reply.value.value));
          case 'error':
            return resolve(refuse(reply.value.code, reply.value.detail));
          default:
            reply.value satisfies never;
        }
      },
      closed: (reason) =>
        resolve(
          reason === 'too-long'
            ? refuse('CONTROL_MESSAGE_TOO_LARGE', 'the answer is too large')
            : unreachable,
        ),
    },
    MAX_REPLY_BYTES,
  );
  const abort = (): void => {
    resolve(accept(undefined));
    lines.close();
  };
  signal?.addEventListener('abort', abort);
  if (signal?.aborted === true) abort();
  try {
    return await promise;
  } finally {
    signal?.removeEventListener('abort', abort);
    lines.close();
  }
}
