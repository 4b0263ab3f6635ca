import fc from 'fast-check';
import { expect, test } from 'vitest';
import { MAX_LINKS, parseWire, sizeOf, type WireSpan } from '#observability/wire.ts';
import { recordId, wireSpan } from './spans.ts';

test('a span with everything comes through as it is', () => {
  const full = wireSpan(1, {
    error: true,
    events: [{ name: 'policy.decision', time: [1, 2], attributes: { 'custody.decision': 'deny' } }],
    links: [
      {
        trace: 'c'.repeat(32),
        span: 'd'.repeat(16),
        attributes: { 'custody.record.id': recordId('l') },
      },
    ],
  });
  expect(parseWire(JSON.parse(JSON.stringify(full)))).toEqual(full);
});

const bad: readonly (readonly [string, object])[] = [
  ['a name of no list', { name: 'read this aloud' }],
  ['free text in a name', { name: 'chat please ignore' }],
  ['an attribute of no list', { attributes: { prompt: 'x' } }],
  ['an attribute that does not fit', { attributes: { 'spiffe.id': 'me' } }],
  ['attributes that are none', { attributes: 'x' }],
  ['a trace id of zeros', { trace: '0'.repeat(32) }],
  ['a span id that is no id', { span: 'x' }],
  ['a parent that is no id', { parent: 'x' }],
  ['a kind that is none', { kind: 9 }],
  ['a time before all time', { start: [-1, 0] }],
  ['a time that is none', { end: ['now', 0] }],
  ['an error that is no boolean', { error: 'yes' }],
  ['an event of no list', { events: [{ name: 'said', time: [1, 2], attributes: {} }] }],
  ['too many links', { links: Array.from({ length: MAX_LINKS + 1 }, () => ({})) }],
  ['links that are no list', { links: {} }],
];

test.each(bad)('%s is no span; its honest twin is one', (_what, change) => {
  expect(parseWire(wireSpan(1))).toBeDefined();
  expect(parseWire({ ...wireSpan(1), ...change })).toBeUndefined();
});

test('anything a process can say is a span or none, and nothing throws', () => {
  const pieces = fc.record(
    Object.fromEntries(Object.keys(wireSpan(1)).map((key) => [key, fc.anything()])),
    { requiredKeys: [] },
  );
  fc.assert(
    fc.property(fc.oneof(fc.anything(), pieces), (given) => {
      parseWire(given);
    }),
  );
});

test('a span never takes more bytes than was reckoned', () => {
  const values = fc.record({
    'spiffe.id': fc.constant(`spiffe://city.example/${'a'.repeat(200)}`),
    'custody.record.seq': fc.maxSafeNat(),
    'custody.decision.reasons': fc.array(fc.constant('check_passed'), { maxLength: 8 }),
  });
  fc.assert(
    fc.property(values, fc.nat(16), (attributes, count) => {
      const span: WireSpan = wireSpan(1, {
        attributes,
        events: Array.from({ length: count }, () => ({
          name: 'policy.decision',
          time: [1_800_000_000, 999_999_999] as [number, number],
          attributes,
        })),
      });
      expect(JSON.stringify(span).length).toBeLessThanOrEqual(sizeOf(span));
    }),
  );
});
