import { SpanKind } from '@opentelemetry/api';
import { CHANNELS, type DecisionNote, NOTES, type ServiceRefusedNote } from '#bus/telemetry.ts';
import { attributes, type Values } from './attributes.ts';
import { activeSpan, serverSpan, workIn } from './bus-spans.ts';
import { active, follow, markFailed, type Workshop } from './follow.ts';
import { EVENTS, SPANS } from './names.ts';
import { listen } from './notes.ts';

/** Spans of what a service does behind its door, and what policy decided about it. */
export function serviceSpans(shop: Workshop): readonly (() => void)[] {
  return [
    follow(shop, CHANNELS.chat, {
      work: 'async',
      begin: ({ model, provider, maxTokens }, parent) => ({
        name: SPANS.chat(model),
        kind: SpanKind.CLIENT,
        values: {
          'gen_ai.operation.name': 'chat',
          'gen_ai.provider.name': provider,
          'gen_ai.request.model': model,
          'gen_ai.request.max_tokens': maxTokens,
          ...workIn(parent),
        },
      }),
      end: ({ usage, finish, refused }) => ({
        values: {
          'gen_ai.usage.input_tokens': usage?.input,
          'gen_ai.usage.output_tokens': usage?.output,
          'gen_ai.response.finish_reasons': finish === undefined ? undefined : [finish],
        },
        error: refused,
      }),
    }),
    follow(shop, CHANNELS.retrieval, {
      work: 'sync',
      begin: ({ collection }, parent) => ({
        name: SPANS.retrieval(collection),
        kind: SpanKind.CLIENT,
        values: {
          'gen_ai.operation.name': 'retrieval',
          'db.system.name': 'sqlite',
          'db.collection.name': collection,
          'db.operation.name': 'query',
          ...workIn(parent),
        },
      }),
      end: ({ rows, refused }) => ({
        values: { 'db.response.returned_rows': rows },
        error: refused,
      }),
    }),
    follow(shop, CHANNELS.tool, {
      work: 'async',
      begin: ({ tool, method }, parent) => ({
        name: SPANS.executeTool(tool),
        kind: SpanKind.INTERNAL,
        values: {
          'gen_ai.operation.name': 'execute_tool',
          'gen_ai.tool.name': tool,
          'gen_ai.tool.type': 'function',
          'mcp.method.name': method,
          ...workIn(parent),
        },
      }),
      end: ({ refused }) => ({ values: { 'custody.refusal': refused }, error: refused }),
    }),
    follow(shop, CHANNELS.order, {
      work: 'sync',
      begin: ({ works }, parent) => ({
        name: SPANS.order(works),
        kind: SpanKind.INTERNAL,
        values: { 'city.works': works, ...workIn(parent) },
      }),
      end: ({ refused }) => ({ values: { 'custody.refusal': refused }, error: refused }),
    }),
    listen(shop, NOTES.decision, (decision: DecisionNote) => decided(shop, decision)),
    listen(shop, NOTES.serviceRefused, ({ code }: ServiceRefusedNote) => {
      const span = serverSpan(active(shop));
      if (span === undefined) return;
      span.setAttributes(attributes({ 'custody.refusal': code }));
      span.addEvent(EVENTS.refusal, attributes({ 'custody.refusal': code }));
      markFailed(span, code);
    }),
  ];
}

function decided(shop: Workshop, { id, allow, reasons, revision, code }: DecisionNote): void {
  const context = active(shop);
  const values: Values = {
    'custody.decision': allow ? 'allow' : 'deny',
    'custody.decision.id': id,
    'custody.decision.reasons': reasons.length === 0 ? undefined : reasons.slice(0, 8),
    'custody.decision.revision': revision,
    'custody.refusal': code,
  };
  activeSpan(context)?.addEvent(EVENTS.decision, attributes(values));
  const span = serverSpan(context);
  span?.setAttributes(attributes(values));
  if (span !== undefined && code !== undefined) markFailed(span, code);
}
