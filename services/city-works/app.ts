import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { CHANNELS, type OrderHop } from '#bus/telemetry.ts';
import type { RecordId } from '#custody/record.ts';
import { type Authorize, authorizeRequest } from '../authorize.ts';
import { parseBody } from '../body.ts';
import { createServiceApp, refuseRequest, type ServiceAppOptions } from '../door.ts';
import type { Work, Works } from './works.ts';

export interface CityWorksDeps {
  readonly app?: ServiceAppOptions;
  readonly authorize: Authorize;
  readonly works: Works;
}

const order = z.string().regex(/^[A-Za-z0-9_-]{43}$/);
const planBody = z.strictObject({
  order,
  district: z.string().regex(/^[a-z0-9][a-z0-9_-]{0,63}$/),
  plan: z.string().min(1).max(16),
});
const valveBody = z.strictObject({ order, delta_pct: z.number().min(-100).max(100) });

const STATUS = { ORDER_CONFLICT: 409, PLAN_UNKNOWN: 400 } as const;

/** `POST /signal/plan`, `POST /valve`, `GET /state`; policy lets only the tool server in. */
export function createCityWorksApp(deps: CityWorksDeps): FastifyInstance {
  const app = createServiceApp(deps.app);
  app.post('/signal/plan', (request, reply) => {
    const body = parseBody(planBody, request.body, reply);
    if (body === undefined) return reply;
    const { district, plan } = body;
    const properties = { plan };
    const work: Work = { kind: 'signal', district, plan };
    return place(deps, request, reply, { order: body.order, work, properties, district });
  });
  app.post('/valve', (request, reply) => {
    const body = parseBody(valveBody, request.body, reply);
    if (body === undefined) return reply;
    const properties = { delta_pct: body.delta_pct };
    const work: Work = { kind: 'valve', deltaPct: body.delta_pct };
    return place(deps, request, reply, { order: body.order, work, properties });
  });
  app.get('/state', (request, reply) => {
    const allowed = authorizeRequest(deps.authorize, request, reply, {
      action: 'works/read',
      resource: { type: 'works', id: 'state' },
    });
    return allowed === undefined ? reply : reply.send(deps.works.state());
  });
  return app;
}

interface Placed {
  readonly order: string;
  readonly work: Work;
  readonly properties: Readonly<Record<string, unknown>>;
  readonly district?: string;
}

function place(
  deps: CityWorksDeps,
  request: FastifyRequest,
  reply: FastifyReply,
  placed: Placed,
): FastifyReply {
  const allowed = authorizeRequest(deps.authorize, request, reply, {
    action: 'works/order',
    properties: placed.properties,
    resource: {
      type: 'works',
      id: placed.work.kind,
      properties: placed.district === undefined ? {} : { district: placed.district },
    },
  });
  if (allowed === undefined) return reply;
  const { peer } = request;
  // The id under which an order counts once must be a cause that the tool server has signed for:
  // a free choice of ids would make every repetition a new order.
  const id = peer.causes.find((cause): cause is RecordId => cause === placed.order);
  if (id === undefined) return refuseRequest(reply, 400, 'ORDER_WITHOUT_CAUSE');
  const hop: OrderHop = { works: placed.work.kind };
  const done = CHANNELS.order.traceSync(() => {
    const { work } = placed;
    const ordered = deps.works.order({ id, work, carriedBy: peer.recordId, by: peer.id });
    if (!ordered.ok) hop.refused = ordered.code;
    return ordered;
  }, hop);
  if (!done.ok) return refuseRequest(reply, STATUS[done.code], done.code, done.detail);
  return reply.send(done.value);
}
