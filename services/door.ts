import type { IncomingMessage } from 'node:http';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { inject } from 'light-my-request';
import type { Member } from '#bus/directory.ts';
import type { BusRequest, BusResponse, SignedDecision } from '#bus/http-message.ts';
import { note } from '#bus/telemetry.ts';
import type { Verified } from '#bus/verified.ts';
import type { RecordId, ToolClaim } from '#custody/record.ts';
import type { SpiffeId } from '#identity/spiffe-id.ts';
import { SERVICE_CODES, type ServiceCode } from './codes.ts';

/** Who sent a request, as the bus verified it. Nothing in it comes from headers or body. */
export interface Peer {
  readonly id: SpiffeId;
  readonly kind: Member['kind'];
  readonly district: string | undefined;
  /** The custody record that carried the request, and the causes it names. */
  readonly recordId: RecordId;
  readonly causes: readonly RecordId[];
  /** The tool that the record orders, where it is an `act`. */
  readonly act: string | undefined;
}

/** What the door hands back to the bus: the answer, and what the gateway attests about it. */
export interface ServiceReply {
  readonly response: BusResponse;
  readonly tool?: ToolClaim;
  /** Records that the answer rests on, beside the request. */
  readonly causes?: readonly RecordId[];
}

declare module 'fastify' {
  interface FastifyRequest {
    /** The verified sender. Read-only; throws where the hook has not let the request in. */
    readonly peer: Peer;
  }
}

export interface ServiceAppOptions {
  /** Largest body, bytes. Default 256 KiB. */
  readonly bodyLimit?: number;
  /** Told of every exception behind a route: those are bugs, and the caller learns only INTERNAL. */
  readonly onFault?: (error: unknown) => void;
}

const DEFAULT_BODY_LIMIT = 256 * 1024;
/** NATS carries at most 1 MiB by default; the envelope escapes the body once more. */
const MAX_RESPONSE_BYTES = 512 * 1024;
/** No query, no escapes, no dot segments: what policy sees as the route has one spelling. */
const PATH = /^(?:\/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$/;
const MAX_PATH = 512;

interface Exchange {
  readonly peer: Peer;
  tool: ToolClaim | undefined;
  decision: SignedDecision | undefined;
  readonly causes: RecordId[];
}

/**
 * The verified sender travels beside the request, keyed by the request object itself: a header
 * could be forged by whoever writes the request, this key can be made only here.
 */
const exchanges = new WeakMap<IncomingMessage, Exchange>();

/** An app that answers 401 to every request that no door has vouched for. */
export function createServiceApp(options: ServiceAppOptions = {}): FastifyInstance {
  const app = fastify({
    logger: false,
    bodyLimit: options.bodyLimit ?? DEFAULT_BODY_LIMIT,
    exposeHeadRoutes: false,
    onProtoPoisoning: 'error',
    onConstructorPoisoning: 'error',
  });
  app.removeContentTypeParser('text/plain');
  app.decorateRequest('peer', {
    getter(this: FastifyRequest) {
      const exchange = exchanges.get(this.raw);
      if (exchange === undefined) throw new Error('a route ran without a verified peer');
      return exchange.peer;
    },
  });
  app.addHook('onRequest', async (request, reply) => {
    if (!exchanges.has(request.raw)) return refuseRequest(reply, 401, 'PEER_MISSING');
  });
  // One decision covers one call. The MCP SDK, for one, runs every call of a batched POST.
  app.addHook('preValidation', async (request, reply) => {
    if (Array.isArray(request.body)) return refuseRequest(reply, 400, 'BATCH_REFUSED');
  });
  app.setNotFoundHandler((_request, reply) => refuseRequest(reply, 404, 'ROUTE_UNKNOWN'));
  app.setErrorHandler((error, _request, reply) => {
    const status = statusOf(error);
    if (status === 413) return refuseRequest(reply, 413, 'BODY_TOO_LARGE');
    if (status === 415) return refuseRequest(reply, 415, 'CONTENT_TYPE_REFUSED');
    if (status >= 400 && status < 500) return refuseRequest(reply, 400, 'BODY_INVALID');
    options.onFault?.(error);
    return refuseRequest(reply, 500, 'INTERNAL');
  });
  return app;
}

/**
 * The door of one service: takes a verified bus request, runs it through the app, gives its answer.
 * It never rejects on foreign input; a path no service can have is answered with 400.
 */
export function openDoor(
  app: FastifyInstance,
): (verified: Verified<BusRequest>) => Promise<ServiceReply> {
  let ready: PromiseLike<unknown> | undefined;
  return async (verified) => {
    const { method, path, contentType, body } = verified.payload;
    if (path.length > MAX_PATH || !PATH.test(path)) {
      return refused(400, 'PATH_INVALID');
    }
    ready ??= app.ready();
    await ready;
    const exchange: Exchange = {
      peer: peerOf(verified),
      tool: undefined,
      decision: undefined,
      causes: [],
    };
    const reply = await inject(
      (req, res) => {
        exchanges.set(req, exchange);
        app.routing(req, res);
      },
      {
        method,
        url: path,
        validate: false,
        ...(body === '' ? {} : { payload: body, headers: { 'content-type': contentType } }),
      },
    );
    const answer =
      reply.rawPayload.length > MAX_RESPONSE_BYTES
        ? refused(500, 'RESPONSE_TOO_LARGE').response
        : {
            status: reply.statusCode,
            contentType: String(reply.headers['content-type'] ?? 'application/json'),
            body: reply.body,
          };
    const { decision } = exchange;
    const response: BusResponse = { ...answer, ...(decision !== undefined && { decision }) };
    return {
      response,
      ...(exchange.tool !== undefined && { tool: exchange.tool }),
      ...(exchange.causes.length > 0 && { causes: exchange.causes }),
    };
  };
}

/** Marks the answer to this request as a model's or tool's; the gateway attests it, no one else. */
export function attest(request: FastifyRequest, tool: ToolClaim): void {
  const exchange = exchanges.get(request.raw);
  if (exchange !== undefined) exchange.tool = tool;
}

/**
 * Signs a decision with the answer to this request: the ledger shows under which rules it was given.
 * @param code of a denial
 */
export function decided(
  request: FastifyRequest,
  decision: SignedDecision,
  code: string | undefined,
): void {
  const exchange = exchanges.get(request.raw);
  const { id, allow, reasons, revision } = decision;
  if (exchange !== undefined) exchange.decision = { id, allow, reasons, revision };
  note('decision', { id, allow, reasons, revision, code });
}

/** Names a record that the answer to this request rests on. */
export function restOn(request: FastifyRequest, record: RecordId): void {
  exchanges.get(request.raw)?.causes.push(record);
}

/** The one form of a refusal: `{error: {code, message, …}}`. */
export function refuseRequest(
  reply: FastifyReply,
  status: number,
  code: ServiceCode,
  detail?: string,
): FastifyReply {
  note('serviceRefused', { code });
  return reply.code(status).send(errorBody(code, detail));
}

export function errorBody(code: ServiceCode, detail?: string) {
  return { error: { code, message: detail ?? SERVICE_CODES[code] } };
}

function refused(status: number, code: ServiceCode, detail?: string): ServiceReply {
  note('serviceRefused', { code });
  const body = JSON.stringify(errorBody(code, detail));
  return { response: { status, contentType: 'application/json', body } };
}

function peerOf(verified: Verified<unknown>): Peer {
  return {
    id: verified.signedBy,
    kind: verified.sender.kind,
    district: verified.sender.district,
    recordId: verified.recordId,
    causes: verified.claims.par,
    act: verified.claims.knd === 'act' ? verified.claims.tool?.model : undefined,
  };
}

function statusOf(error: unknown): number {
  if (typeof error !== 'object' || error === null || !('statusCode' in error)) return 500;
  return typeof error.statusCode === 'number' ? error.statusCode : 500;
}
