import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { CHANNELS, type RetrievalHop } from '#bus/telemetry.ts';
import type { SpiffeId } from '#identity/spiffe-id.ts';
import { type Authorize, authorizeRequest } from '../authorize.ts';
import { parseBody } from '../body.ts';
import { createServiceApp, refuseRequest, type ServiceAppOptions } from '../door.ts';
import { RUNBOOKS, type Runbook, runbookText } from './runbooks.ts';
import type { VectorStore } from './store.ts';

export interface VectorDeps {
  readonly app?: ServiceAppOptions;
  readonly authorize: Authorize;
  readonly store: VectorStore;
  readonly embed: (text: string) => Float32Array;
  readonly now: () => Date;
}

const name = z.string().regex(/^[a-z0-9](?:[a-z0-9_-]{0,46}[a-z0-9])?$/);
const params = z.object({ name });
const text = z.string().min(1).max(8_192);
/** A vector without a direction has no cosine: sqlite-vec gives it no distance, and it would rank first. */
const vector = z
  .array(z.number().min(-1e6).max(1e6))
  .min(1)
  .max(8_192)
  .refine((values) => values.some((value) => Math.abs(value) > 1e-6), {
    error: 'a vector is not zero',
  });
const k = z.int().min(1).max(50).default(3);
const queryBody = z.union([z.strictObject({ text, k }), z.strictObject({ vector, k })]);
const point = z.strictObject({
  id: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/),
  text,
  metadata: z.record(z.string().max(64), z.unknown()).default({}),
  vector: vector.optional(),
});
const pointsBody = z.strictObject({ points: z.array(point).min(1).max(100) });

/** `POST /collections/:name/query` reads, `POST /collections/:name/points` writes. */
export function createVectorApp(deps: VectorDeps): FastifyInstance {
  const app = createServiceApp(deps.app);
  app.post('/collections/:name/query', (request, reply) => {
    const path = parseBody(params, request.params, reply);
    if (path === undefined) return reply;
    const body = parseBody(queryBody, request.body, reply);
    if (body === undefined) return reply;
    const allowed = authorizeRequest(deps.authorize, request, reply, {
      action: 'query',
      properties: { k: body.k, ...('text' in body ? { text: body.text } : {}) },
      masked: 'text' in body ? ['text'] : [],
      resource: { type: 'collection', id: path.name },
    });
    if (allowed === undefined) return reply;
    if (!deps.store.has(path.name)) return refuseRequest(reply, 404, 'COLLECTION_UNKNOWN');
    const wanted = 'text' in body ? deps.embed(body.text) : Float32Array.from(body.vector);
    const hop: RetrievalHop = { collection: path.name };
    const hits = CHANNELS.retrieval.traceSync(() => {
      const found = deps.store.query(path.name, wanted, body.k);
      if (found.ok) hop.rows = found.value.length;
      else hop.refused = found.code;
      return found;
    }, hop);
    if (!hits.ok) return refuseRequest(reply, 400, hits.code, hits.detail);
    return reply.send({ points: hits.value });
  });
  app.post('/collections/:name/points', (request, reply) => {
    const path = parseBody(params, request.params, reply);
    if (path === undefined) return reply;
    const body = parseBody(pointsBody, request.body, reply);
    if (body === undefined) return reply;
    const allowed = authorizeRequest(deps.authorize, request, reply, {
      action: 'upsert',
      properties: { points: body.points },
      masked: ['points'],
      resource: { type: 'collection', id: path.name },
    });
    if (allowed === undefined) return reply;
    if (!deps.store.has(path.name)) return refuseRequest(reply, 404, 'COLLECTION_UNKNOWN');
    const points = body.points.map((given) => ({
      id: given.id,
      text: given.text,
      metadata: given.metadata,
      vector: given.vector === undefined ? deps.embed(given.text) : Float32Array.from(given.vector),
    }));
    // The provenance is the verified sender's, whatever the body may say about its author.
    const written = deps.store.upsert(path.name, points, {
      writtenBy: request.peer.id,
      record: request.peer.recordId,
      writtenAt: Math.floor(deps.now().getTime() / 1000),
    });
    if (!written.ok) return refuseRequest(reply, 400, written.code, written.detail);
    return reply.send({ upserted: written.value });
  });
  return app;
}

/** Puts the agreed runbooks into a collection that has none yet, written by the service itself. */
export function seedRunbooks(
  store: VectorStore,
  collection: string,
  options: {
    readonly embed: (text: string) => Float32Array;
    readonly self: SpiffeId;
    readonly now: () => Date;
    readonly runbooks?: readonly Runbook[];
  },
): void {
  if (!store.has(collection) || store.count(collection) > 0) return;
  const points = (options.runbooks ?? RUNBOOKS).map((runbook) => ({
    id: runbook.id,
    text: runbookText(runbook),
    metadata: { title: runbook.title, tool: runbook.tool, arguments: runbook.arguments },
    vector: options.embed(`${runbook.title}. ${runbook.text}`),
  }));
  store.upsert(collection, points, {
    writtenBy: options.self,
    record: undefined,
    writtenAt: Math.floor(options.now().getTime() / 1000),
  });
}
