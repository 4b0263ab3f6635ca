import {
  type Context,
  createContextKey,
  type Span,
  type SpanContext,
  SpanKind,
  trace,
} from '@opentelemetry/api';
import { CHANNELS } from '#bus/telemetry.ts';
import type { RecordClaims } from '#custody/record.ts';
import type { Values } from './attributes.ts';
import { follow, type Workshop } from './follow.ts';
import { SPANS, serviceTemplate, streamTemplate } from './names.ts';
import { MAX_LINKS } from './wire.ts';

/** In a context: the span of the request that is being answered, which decisions are about. */
export const SERVER_SPAN = createContextKey('swarmproof server span');
/** In a context: the process's own proven identity, and the record that the work is about. */
const IDENTITY = createContextKey('swarmproof identity');
const RECORD = createContextKey('swarmproof record');

const MAX_REMEMBERED = 1024;

/** What every span of the work below a message or a request says: in whose name, and about what. */
export function workIn(context: Context): Values {
  return {
    'spiffe.id': context.getValue(IDENTITY) as string | undefined,
    'custody.record.id': context.getValue(RECORD) as string | undefined,
  };
}

/** Spans of messages and requests, and of what an agent does about a message. */
export function busSpans(
  shop: Workshop,
  agent: { readonly id: string; readonly role: string },
): readonly (() => void)[] {
  /** Record id → the span that processes it: for links of what several messages caused. */
  const processed = new Map<string, SpanContext>();

  function remember(recordId: string, context: SpanContext): void {
    processed.set(recordId, context);
    if (processed.size <= MAX_REMEMBERED) return;
    const oldest = processed.keys().next();
    if (!oldest.done) processed.delete(oldest.value);
  }

  return [
    follow(shop, CHANNELS.send, {
      work: 'async',
      begin: ({ identity, kind, size }) => ({
        name: SPANS.send(kind),
        kind: SpanKind.PRODUCER,
        values: {
          ...messaging('send', streamTemplate(kind)),
          'messaging.message.body.size': size,
          'spiffe.id': identity,
        },
      }),
      end: ({ record }) => ({ values: recordValues(record?.id, record?.claims) }),
    }),
    follow(shop, CHANNELS.process, {
      work: 'async',
      begin: ({ identity, kind, message }) => ({
        name: SPANS.process(kind),
        kind: SpanKind.CONSUMER,
        values: {
          ...messaging('process', streamTemplate(kind)),
          'messaging.message.body.size': message.payload.length,
          'spiffe.id': identity,
          'peer.spiffe.id': message.signedBy,
          ...recordValues(message.recordId, message.claims),
        },
        context: (context, span) => {
          remember(message.recordId, span.spanContext());
          return context.setValue(IDENTITY, identity).setValue(RECORD, message.recordId);
        },
      }),
      end: () => ({}),
    }),
    follow(shop, CHANNELS.request, {
      work: 'async',
      begin: ({ identity, service, size }) => ({
        name: SPANS.request(service),
        kind: SpanKind.CLIENT,
        values: {
          ...messaging('send', serviceTemplate(service)),
          'messaging.message.body.size': size,
          'spiffe.id': identity,
        },
      }),
      end: ({ record, result }) => {
        const values = recordValues(record?.id, record?.claims);
        if (result === undefined) return { values };
        if (!result.ok) {
          return { values: { ...values, 'custody.refusal': result.code }, error: result.code };
        }
        const { status } = result.payload;
        return {
          values: {
            ...values,
            'peer.spiffe.id': result.signedBy,
            'custody.answer.id': result.recordId,
            'http.response.status_code': status,
          },
          error: status >= 400 ? String(status) : undefined,
        };
      },
    }),
    follow(shop, CHANNELS.answer, {
      work: 'async',
      begin: ({ identity, service, request }) => ({
        name: SPANS.answer(service),
        kind: SpanKind.SERVER,
        values: {
          ...messaging('process', serviceTemplate(service)),
          'spiffe.id': identity,
          'peer.spiffe.id': request.signedBy,
          ...recordValues(request.recordId, request.claims),
        },
        context: (context, span) =>
          context
            .setValue(IDENTITY, identity)
            .setValue(RECORD, request.recordId)
            .setValue(SERVER_SPAN, span),
      }),
      end: ({ response }) => ({
        values: {
          'custody.answer.id': response?.record,
          'http.response.status_code': response?.status,
        },
        error:
          response !== undefined && response.status >= 500 ? String(response.status) : undefined,
      }),
    }),
    follow(shop, CHANNELS.invoke, {
      work: 'async',
      begin: ({ recordId, causes }, parent) => ({
        name: SPANS.invokeAgent(agent.role),
        kind: SpanKind.INTERNAL,
        values: {
          'gen_ai.operation.name': 'invoke_agent',
          'gen_ai.agent.id': agent.id,
          'gen_ai.agent.name': agent.role,
          'gen_ai.agent.identity.id': workIn(parent)['spiffe.id'],
          ...workIn(parent),
        },
        links: [...new Set(causes)]
          .flatMap((cause) => {
            const context = cause === recordId ? undefined : processed.get(cause);
            return context === undefined
              ? []
              : [{ context, values: { 'custody.record.id': cause } }];
          })
          .slice(0, MAX_LINKS),
      }),
      end: () => ({}),
    }),
  ];
}

/** Span of the request at hand, where one is being answered. */
export function serverSpan(context: Context): Span | undefined {
  return context.getValue(SERVER_SPAN) as Span | undefined;
}

export function activeSpan(context: Context): Span | undefined {
  return trace.getSpan(context);
}

function messaging(operation: 'send' | 'process', template: string): Values {
  return {
    'messaging.system.name': 'nats',
    'messaging.operation.name': operation,
    'messaging.operation.type': operation,
    'messaging.destination.template': template,
  };
}

function recordValues(id: string | undefined, claims: RecordClaims | undefined): Values {
  return {
    'custody.record.id': id,
    'custody.record.digest': claims?.pdg,
    'custody.record.seq': claims?.seq,
    'custody.record.kind': claims?.knd,
    'messaging.message.id': id,
    'messaging.destination.name': claims?.sbj,
  };
}
