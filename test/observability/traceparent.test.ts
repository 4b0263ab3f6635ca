import fc from 'fast-check';
import { expect, test } from 'vitest';
import { traceHeaders } from '#bus/client/envelope.ts';
import { formatTraceparent, parseTraceparent } from '#observability/traceparent.ts';

const hex = (length: number) =>
  fc
    .string({ unit: fc.constantFrom(...'0123456789abcdef'), minLength: length, maxLength: length })
    .filter((text) => !/^0+$/.test(text));

test('what is formatted is parsed again (W3C Trace Context 3.2.2)', () => {
  fc.assert(
    fc.property(hex(32), hex(16), (traceId, spanId) => {
      const context = { traceId, spanId, traceFlags: 1 };
      expect(parseTraceparent(formatTraceparent(context))).toEqual({ ...context, isRemote: true });
    }),
  );
});

test('a changed character is refused, or is still a context of hexadecimal digits', () => {
  const text = `00-${'4bf92f3577b34da6a3ce929d0e0e4736'}-00f067aa0ba902b7-01`;
  fc.assert(
    fc.property(fc.nat(text.length - 1), fc.string({ unit: 'binary', maxLength: 2 }), (at, put) => {
      const parsed = parseTraceparent(text.slice(0, at) + put + text.slice(at + 1));
      if (parsed === undefined) return;
      expect(parsed.traceId).toMatch(/^[0-9a-f]{32}$/);
      expect(parsed.spanId).toMatch(/^[0-9a-f]{16}$/);
    }),
    { numRuns: 2000 },
  );
});

test('any other text is no context, and nothing throws', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(parseTraceparent(text)).toBeUndefined();
    }),
  );
});

test.each([
  ['an all-zero trace id (3.2.2.3)', `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`],
  ['an all-zero parent id (3.2.2.4)', `00-${'a'.repeat(32)}-${'0'.repeat(16)}-01`],
  ['upper case', `00-${'A'.repeat(32)}-00f067aa0ba902b7-01`],
  ['version ff', `ff-${'a'.repeat(32)}-00f067aa0ba902b7-01`],
  ['a version of the future', `01-${'a'.repeat(32)}-00f067aa0ba902b7-01-x`],
  ['something after the flags', `00-${'a'.repeat(32)}-00f067aa0ba902b7-01\n`],
  ['a megabyte', `00-${'a'.repeat(1 << 20)}`],
])('%s is refused', (_what, text) => {
  expect(parseTraceparent(text)).toBeUndefined();
});

test('a sender that says "not sampled" is sampled all the same', () => {
  const parsed = parseTraceparent(`00-${'a'.repeat(32)}-00f067aa0ba902b7-00`);
  expect(parsed?.traceFlags).toBe(1);
});

test('two traceparents are none, one is one, and tracestate is nobody’s business', () => {
  const one = [`00-${'a'.repeat(32)}-00f067aa0ba902b7-01`];
  expect(traceHeaders([['traceparent', one]])).toEqual([['traceparent', one[0]]]);
  expect(traceHeaders([['traceparent', [...one, ...one]]])).toEqual([]);
  expect(
    traceHeaders([
      ['traceparent', one],
      ['traceparent', one],
    ]),
  ).toEqual([]);
  expect(traceHeaders([['tracestate', ['vendor=secret']]])).toEqual([]);
  expect(traceHeaders('malformed')).toEqual([]);
});
