import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { CHANNELS, type ChatHop } from '#bus/telemetry.ts';
import { type Authorize, authorizeRequest } from '../authorize.ts';
import { parseBody } from '../body.ts';
import { attest, createServiceApp, refuseRequest, type ServiceAppOptions } from '../door.ts';
import { EMBEDDING_MODEL, embed } from './embedding.ts';
import type { Model } from './mock-model.ts';
import { type ChatRequest, chatRequest, embeddingsRequest, fineTuneRequest } from './schema.ts';
import { countPromptTokens, countTokens } from './tokens.ts';
import type { UsageMeter } from './usage.ts';

export interface LlmDeps {
  readonly app?: ServiceAppOptions;
  readonly authorize: Authorize;
  /** Names under which the model is served. */
  readonly models: readonly string[];
  readonly model: Model;
  /** Who runs the model, as `gen_ai.provider.name` says it. */
  readonly provider: string;
  readonly meter: UsageMeter;
}

/** Reserved for an answer whose length the caller left open, until its true length is known. */
const OPEN_ANSWER_TOKENS = 256;

const STATUS = {
  MODEL_TIMEOUT: 504,
  MODEL_UNAVAILABLE: 502,
  MODEL_INVALID_RESPONSE: 502,
} as const;

/** The OpenAI-compatible gateway: `/v1/chat/completions`, `/v1/embeddings`, `/v1/models`. */
export function createLlmApp(deps: LlmDeps): FastifyInstance {
  const app = createServiceApp(deps.app);
  app.post('/v1/chat/completions', (request, reply) => chat(deps, request, reply));
  app.post('/v1/embeddings', (request, reply) => embeddings(deps, request, reply));
  app.post('/v1/fine_tuning/jobs', (request, reply) => fineTune(deps, request, reply));
  app.get('/v1/models', (request, reply) => models(deps, request, reply));
  return app;
}

async function chat(deps: LlmDeps, request: FastifyRequest, reply: FastifyReply) {
  if (asksForStream(request.body)) return refuseRequest(reply, 400, 'STREAMING_UNSUPPORTED');
  const body = parseBody(chatRequest, request.body, reply);
  if (body === undefined) return reply;
  const allowed = authorizeRequest(deps.authorize, request, reply, {
    action: 'chat',
    properties: {
      messages: body.messages,
      tools: (body.tools ?? []).map((tool) => tool.function.name),
      max_tokens: body.max_tokens ?? null,
    },
    masked: ['messages'],
    resource: { type: 'model', id: body.model },
    context: { usage: deps.meter.usage(request.peer.id) },
  });
  if (allowed === undefined) return reply;
  // After the decision: who may not use a model does not learn whether it exists.
  if (!deps.models.includes(body.model)) return refuseRequest(reply, 404, 'MODEL_UNKNOWN');
  const promptTokens = countPromptTokens(body);
  const settle = deps.meter.book(
    request.peer.id,
    promptTokens + (body.max_tokens ?? OPEN_ANSWER_TOKENS),
  );
  const answer = await asked(deps, body);
  if (!answer.ok) {
    settle(promptTokens);
    return refuseRequest(reply, STATUS[answer.code], answer.code, answer.detail);
  }
  const { value } = answer;
  // An upstream that reports too little does not widen the caller's budget.
  const ownCount = promptTokens + countTokens(JSON.stringify(value.choices[0]?.message ?? ''));
  settle(Math.max(value.usage.total_tokens, ownCount));
  attest(request, { kind: 'chat', model: body.model, rid: value.id, signed: false });
  return reply.send(value);
}

/** One call of the model, for whoever watches; of what is said only the counts are told. */
function asked({ model, provider }: LlmDeps, body: ChatRequest): ReturnType<Model> {
  const hop: ChatHop = { model: body.model, provider, maxTokens: body.max_tokens };
  return CHANNELS.chat.tracePromise(async () => {
    const answer = await model(body);
    if (!answer.ok) hop.refused = answer.code;
    else {
      const { usage, choices } = answer.value;
      hop.usage = { input: usage.prompt_tokens, output: usage.completion_tokens };
      hop.finish = choices[0]?.finish_reason ?? 'none';
    }
    return answer;
  }, hop);
}

async function embeddings(deps: LlmDeps, request: FastifyRequest, reply: FastifyReply) {
  const body = parseBody(embeddingsRequest, request.body, reply);
  if (body === undefined) return reply;
  const allowed = authorizeRequest(deps.authorize, request, reply, {
    action: 'embeddings',
    properties: { input: body.input },
    masked: ['input'],
    resource: { type: 'model', id: body.model },
    context: { usage: deps.meter.usage(request.peer.id) },
  });
  if (allowed === undefined) return reply;
  if (body.model !== EMBEDDING_MODEL) return refuseRequest(reply, 404, 'MODEL_UNKNOWN');
  const inputs = typeof body.input === 'string' ? [body.input] : body.input;
  const tokens = inputs.reduce((total, text) => total + countTokens(text), 0);
  deps.meter.book(request.peer.id, tokens);
  return reply.send({
    object: 'list',
    model: body.model,
    data: inputs.map((text, index) => ({
      object: 'embedding',
      index,
      embedding: [...embed(text)],
    })),
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  });
}

/** Accepts a training job; training itself lies outside this service, which has no weights. */
async function fineTune(deps: LlmDeps, request: FastifyRequest, reply: FastifyReply) {
  const body = parseBody(fineTuneRequest, request.body, reply);
  if (body === undefined) return reply;
  const allowed = authorizeRequest(deps.authorize, request, reply, {
    action: 'fine_tune',
    properties: { training_file: body.training_file },
    resource: { type: 'model', id: body.model },
  });
  if (allowed === undefined) return reply;
  if (!deps.models.includes(body.model)) return refuseRequest(reply, 404, 'MODEL_UNKNOWN');
  return reply.send({
    id: `ftjob-${request.peer.recordId}`,
    object: 'fine_tuning.job',
    model: body.model,
    training_file: body.training_file,
    status: 'queued',
  });
}

/** Lists the models that the caller may chat with, and no others. */
async function models(deps: LlmDeps, request: FastifyRequest, reply: FastifyReply) {
  const allowed = authorizeRequest(deps.authorize, request, reply, {
    action: 'models/list',
    resource: { type: 'service', id: 'llm' },
  });
  if (allowed === undefined) return reply;
  const route = { method: request.method, path: request.routeOptions.url ?? '' };
  const usage = deps.meter.usage(request.peer.id);
  const granted = [...deps.models, EMBEDDING_MODEL].filter(
    (id) =>
      deps.authorize(request.peer, route, {
        action: id === EMBEDDING_MODEL ? 'embeddings' : 'chat',
        resource: { type: 'model', id },
        // Tells readers of the log that nobody tried to use the model.
        context: { usage, listing: true },
      }).allow,
  );
  return reply.send({
    object: 'list',
    data: granted.map((id) => ({ id, object: 'model', created: 0, owned_by: 'swarm' })),
  });
}

/** Only an explicit `stream: true`: clients that send `false` mean what this service offers. */
function asksForStream(body: unknown): boolean {
  return typeof body === 'object' && body !== null && 'stream' in body && body.stream === true;
}
