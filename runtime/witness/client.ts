import { request as httpRequest, type IncomingMessage } from 'node:http';
import { WITNESS_CODES, type WitnessCode } from '#custody/log/codes.ts';
import type { ForkProof } from '#custody/log/fork.ts';
import { MAX_NOTE_CHARACTERS } from '#custody/log/note.ts';
import { formatWitnessRequest, type WitnessRequest } from '#custody/log/witness.ts';
import { type Accepted, accept, type Refused, refuse } from '#identity/outcome.ts';
import { forkProofOf } from './forks.ts';
import {
  ADD_CHECKPOINT,
  checkpointPath,
  FORKS,
  MAX_ANSWER_BYTES,
  SIZE_TYPE,
  STATUS,
} from './protocol.ts';

/** Why a witness said nothing that can be used. */
export interface WitnessSilence extends Refused<WitnessCode | 'WITNESS_UNREACHABLE'> {
  /** With `WITNESS_SIZE_CONFLICT`: the size that it cosigned last, as it says. */
  readonly size?: number;
}

/** A witness as its log sees it. It never throws, and answers within its time. */
export interface WitnessClient {
  readonly name: string;
  /**
   * Signature lines, each with its newline, or why not. What the witness says is foreign input: who
   * stores the lines verifies them first.
   */
  add(request: WitnessRequest): Promise<Accepted<string> | WitnessSilence>;
  /**
   * The note that it cosigned last of that log, if there has been any; `undefined` when it does not
   * say. Foreign input: what counts in it is the log's own signature.
   */
  last(origin: string): Promise<{ readonly note?: string } | undefined>;
  /** Proofs of forks that it keeps, for `verifyFork` to judge; empty when it does not answer. */
  forks(): Promise<readonly ForkProof[]>;
}

export interface WitnessClientOptions {
  readonly name: string;
  /** Absolute path. */
  readonly socketPath: string;
  /** For one request, from the connection to the last byte of the answer. */
  readonly timeoutMs: number;
}

const MAX_NOTE_BYTES = 4 * MAX_NOTE_CHARACTERS;
const MAX_FORKS_BYTES = 16 * 1024 * 1024;
const SIZE = /^(0|[1-9][0-9]{0,15})\n$/;
const CODE = /^([A-Z_]{1,64}): /;

interface Reply {
  readonly status: number;
  readonly type: string | undefined;
  readonly body: string;
}

/** @throws Error when there is no whole answer in time: a connection each, so that none is stale. */
function exchange(
  { socketPath, timeoutMs }: WitnessClientOptions,
  message: { readonly method: string; readonly path: string; readonly body?: string },
  maxBytes: number,
): Promise<Reply> {
  const { promise, resolve, reject } = Promise.withResolvers<Reply>();
  const { method, path, body } = message;
  const outgoing = httpRequest({
    socketPath,
    path,
    method,
    agent: false,
    signal: AbortSignal.timeout(timeoutMs),
    headers: {
      Host: 'localhost',
      Connection: 'close',
      ...(body !== undefined && {
        'Content-Type': 'text/plain; charset=utf-8',
        'Content-Length': Buffer.byteLength(body),
      }),
    },
  });
  outgoing.on('error', reject);
  outgoing.on('response', (response: IncomingMessage) => {
    const chunks: Buffer[] = [];
    let size = 0;
    response.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > maxBytes) outgoing.destroy(new Error('the answer is too large'));
      else chunks.push(chunk);
    });
    response.on('error', reject);
    response.on('end', () =>
      resolve({
        status: response.statusCode ?? 0,
        type: response.headers['content-type'],
        body: Buffer.concat(chunks).toString('utf8'),
      }),
    );
  });
  outgoing.end(body);
  return promise;
}

function isWitnessCode(code: string | undefined): code is WitnessCode {
  return code !== undefined && Object.hasOwn(WITNESS_CODES, code);
}

function judge({ status, type, body }: Reply): Accepted<string> | WitnessSilence {
  if (status === 200) return accept(body);
  if (status === 409 && type === SIZE_TYPE) {
    const size = Number(SIZE.exec(body)?.[1]);
    if (Number.isSafeInteger(size)) {
      return { ...refuse('WITNESS_SIZE_CONFLICT' as const, `it cosigned size ${size} last`), size };
    }
  }
  const code = CODE.exec(body)?.[1];
  // Its words count only as far as its status agrees with them.
  if (isWitnessCode(code) && STATUS[code] === status) {
    return refuse(code, `the witness refused: ${WITNESS_CODES[code].meaning}`);
  }
  return refuse('WITNESS_UNREACHABLE', `it answered status ${status}, which says nothing here`);
}

export function createWitnessClient(options: WitnessClientOptions): WitnessClient {
  return {
    name: options.name,
    add: async (request) => {
      const body = formatWitnessRequest(request);
      try {
        const message = { method: 'POST', path: ADD_CHECKPOINT, body };
        return judge(await exchange(options, message, MAX_ANSWER_BYTES));
      } catch (error) {
        const { code, name } = error as NodeJS.ErrnoException;
        return refuse('WITNESS_UNREACHABLE', `no answer (${code ?? name})`);
      }
    },
    last: async (origin) => {
      const path = checkpointPath(origin);
      try {
        const { status, body } = await exchange(options, { method: 'GET', path }, MAX_NOTE_BYTES);
        if (status === 200) return { note: body };
        return status === 404 ? {} : undefined;
      } catch {
        return undefined;
      }
    },
    forks: async () => {
      try {
        const message = { method: 'GET', path: FORKS };
        const { status, body } = await exchange(options, message, MAX_FORKS_BYTES);
        const proofs: unknown = status === 200 ? JSON.parse(body) : [];
        if (!Array.isArray(proofs)) return [];
        return proofs.map(forkProofOf).filter((proof) => proof !== undefined);
      } catch {
        return [];
      }
    },
  };
}
