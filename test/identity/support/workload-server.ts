import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import {
  createServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type Http2Session,
} from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, type DescMessage, type MessageInitShape } from '@bufbuild/protobuf';
import { Code, ConnectError, type HandlerContext } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import {
  JWTBundlesResponseSchema,
  type JWTSVIDRequest,
  type JWTSVIDResponseSchema,
  SpiffeWorkloadAPI,
  type ValidateJWTSVIDRequest,
  type ValidateJWTSVIDResponseSchema,
  X509BundlesResponseSchema,
  X509SVIDResponseSchema,
} from '#identity/workload-api/generated/workload_pb.ts';

export type ResponseInit = MessageInitShape<typeof X509SVIDResponseSchema>;
type BundlesInit = MessageInitShape<typeof X509BundlesResponseSchema>;
type JwtBundlesInit = MessageInitShape<typeof JWTBundlesResponseSchema>;
type Step<M> =
  | { readonly kind: 'send'; readonly message: M }
  | { readonly kind: 'end' }
  | { readonly kind: 'fail'; readonly code: Code; readonly detail: string };

/** One accepted call, played by the test. */
export interface Stream<M = ResponseInit> {
  readonly header: string | null;
  send(message: M): void;
  end(): void;
  fail(code: Code, detail: string): void;
  /** Resolves when the client has gone. */
  readonly gone: Promise<void>;
}

export interface WorkloadServer {
  readonly path: string;
  /** The next call that arrives, or has arrived and was not taken. */
  next(): Promise<Stream>;
  nextBundles(): Promise<Stream<BundlesInit>>;
  nextJwtBundles(): Promise<Stream<JwtBundlesInit>>;
  /** How the calls of one answer are answered; throw a `ConnectError` to refuse. */
  readonly answers: Answers;
  /** Answers the next call in the raw. */
  interceptNext(answer: (response: Http2ServerResponse) => void): void;
  /** Cuts all connections without a word. */
  cut(): void;
  /** Stops listening; the socket file is gone. `listen` brings it back. */
  stopListening(): Promise<void>;
  listen(): Promise<void>;
  close(): Promise<void>;
}

export interface Answers {
  jwtSvid(
    request: JWTSVIDRequest,
    header: string | null,
  ): MaybePromise<MessageInitShape<typeof JWTSVIDResponseSchema>>;
  validate(
    request: ValidateJWTSVIDRequest,
  ): MaybePromise<MessageInitShape<typeof ValidateJWTSVIDResponseSchema>>;
}
type MaybePromise<T> = T | Promise<T>;

/** A queue with one reader. */
function queue<T>() {
  const items: T[] = [];
  let waiting: ((item: T) => void) | undefined;
  return {
    put(item: T): void {
      const take = waiting;
      waiting = undefined;
      if (take === undefined) items.push(item);
      else take(item);
    },
    take(): Promise<T> {
      const item = items.shift();
      if (item !== undefined) return Promise.resolve(item);
      return new Promise((resolve) => {
        waiting = resolve;
      });
    },
  };
}

/** Hands one call to the test, and sends what it says until it or the client ends it. */
async function* play<Desc extends DescMessage>(
  schema: Desc,
  arrivals: { put(stream: Stream<MessageInitShape<Desc>>): void },
  context: HandlerContext,
) {
  const steps = queue<Step<MessageInitShape<Desc>>>();
  const gone = new Promise<void>((resolve) => {
    context.signal.addEventListener('abort', () => resolve(), { once: true });
  });
  arrivals.put({
    header: context.requestHeader.get('workload.spiffe.io'),
    send: (message) => steps.put({ kind: 'send', message }),
    end: () => steps.put({ kind: 'end' }),
    fail: (code, detail) => steps.put({ kind: 'fail', code, detail }),
    gone,
  });
  const left = gone.then(() => ({ kind: 'end' }) as const);
  for (;;) {
    const step = await Promise.race([steps.take(), left]);
    if (step.kind === 'end') return;
    if (step.kind === 'fail') throw new ConnectError(step.detail, step.code);
    yield create(schema, step.message);
  }
}

/** A Workload API server on a Unix socket whose answers the test decides one by one. */
export async function startWorkloadServer(): Promise<WorkloadServer> {
  const folder = mkdtempSync(join(tmpdir(), 'swarmproof-workload-'));
  const path = join(folder, 'api.sock');
  const svids = queue<Stream>();
  const bundles = queue<Stream<BundlesInit>>();
  const jwtBundles = queue<Stream<JwtBundlesInit>>();
  const unplayed = () => {
    throw new ConnectError('the test plays no answer', Code.Unavailable);
  };
  const answers: Answers = { jwtSvid: unplayed, validate: unplayed };
  const sessions = new Set<Http2Session>();

  let intercept: ((response: Http2ServerResponse) => void) | undefined;
  const api = connectNodeAdapter({
    routes(router) {
      router.service(SpiffeWorkloadAPI, {
        fetchX509SVID: (_request, context) => play(X509SVIDResponseSchema, svids, context),
        fetchX509Bundles: (_request, context) => play(X509BundlesResponseSchema, bundles, context),
        fetchJWTBundles: (_request, context) => play(JWTBundlesResponseSchema, jwtBundles, context),
        fetchJWTSVID: (request, context) =>
          answers.jwtSvid(request, context.requestHeader.get('workload.spiffe.io')),
        validateJWTSVID: (request) => answers.validate(request),
      });
    },
  });

  const handler = (request: Http2ServerRequest, response: Http2ServerResponse) => {
    const answer = intercept;
    intercept = undefined;
    if (answer === undefined) api(request, response);
    else answer(response);
  };
  let server = createServer(handler);
  async function listen(): Promise<void> {
    server = createServer(handler);
    server.on('session', (session) => {
      sessions.add(session);
      session.once('close', () => sessions.delete(session));
    });
    server.listen(path);
    await once(server, 'listening');
  }
  function cut(): void {
    for (const session of sessions) session.destroy();
  }
  async function stopListening(): Promise<void> {
    if (!server.listening) return;
    const closed = once(server, 'close');
    server.close();
    cut();
    await closed;
  }
  await listen();
  return {
    path,
    next: () => svids.take(),
    nextBundles: () => bundles.take(),
    nextJwtBundles: () => jwtBundles.take(),
    answers,
    interceptNext(answer) {
      intercept = answer;
    },
    cut,
    stopListening,
    listen,
    async close() {
      await stopListening();
      rmSync(folder, { recursive: true });
    },
  };
}
