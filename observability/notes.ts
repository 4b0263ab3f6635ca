import type { Channel } from 'node:diagnostics_channel';
import { SpanKind } from '@opentelemetry/api';
import {
  type AdmissionRefusedNote,
  NOTES,
  type RefusedNote,
  type RenewedNote,
} from '#bus/telemetry.ts';
import { attributes, type Values } from './attributes.ts';
import { active, markFailed, type Workshop } from './follow.ts';
import { SPANS } from './names.ts';

/** Subscribes to single events. Returns the function that stops it. */
export function listen<M>(
  shop: Pick<Workshop, 'guard'>,
  channel: Channel,
  on: (message: M) => void,
): () => void {
  const listener = (message: unknown): void => shop.guard(() => on(message as M));
  channel.subscribe(listener);
  return () => channel.unsubscribe(listener);
}

/** A span for each refusal at a door or a gate, and for each renewal of the own SVID. */
export function noteSpans(shop: Workshop): readonly (() => void)[] {
  return [
    listen(shop, NOTES.refused, ({ identity, refusal, presenter }: RefusedNote) => {
      // A subject is a stranger's text as long as nobody known presented it where it belongs.
      const subject = presenter !== undefined && refusal.code !== 'DOOR_SUBJECT_UNEXPECTED';
      refused(shop, 'message', SpanKind.CONSUMER, {
        'messaging.system.name': 'nats',
        'messaging.destination.name': subject ? refusal.subject : undefined,
        'spiffe.id': identity,
        'peer.spiffe.id': refusal.signedBy,
        'custody.record.id': refusal.recordId,
        'custody.presented_by': presenter,
        'custody.refusal': refusal.code,
      });
    }),
    listen(shop, NOTES.admissionRefused, ({ code, at, peer, record }: AdmissionRefusedNote) => {
      refused(shop, 'admission', SpanKind.SERVER, {
        'custody.refused_by': at,
        'peer.spiffe.id': peer,
        'custody.record.id': record,
        'custody.refusal': code,
      });
    }),
    listen(shop, NOTES.renewed, ({ identity, svid }: RenewedNote) => {
      const span = shop.tracer.startSpan(SPANS.renew(), {
        root: true,
        kind: SpanKind.INTERNAL,
        attributes: attributes({
          'spiffe.id': identity,
          'spiffe.svid.serial': svid.serial,
          'tls.client.not_after': svid.notAfter.toISOString(),
          'tls.client.hash.sha256': Buffer.from(svid.thumbprint, 'base64url')
            .toString('hex')
            .toUpperCase(),
        }),
      });
      span.end();
    }),
  ];
}

function refused(
  shop: Workshop,
  what: 'message' | 'admission',
  kind: SpanKind,
  values: Values,
): void {
  const span = shop.tracer.startSpan(
    SPANS.refuse(what),
    { kind, attributes: attributes(values) },
    active(shop),
  );
  markFailed(span, String(values['custody.refusal'] ?? ''));
  span.end();
}
