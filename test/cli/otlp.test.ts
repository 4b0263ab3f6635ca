import { expect, test } from 'vitest';
import { otlpFrom } from '#cli/commands/otlp.ts';

test('without an endpoint nothing is sent', () => {
  expect(otlpFrom({})).toBeUndefined();
  expect(otlpFrom({ OTEL_EXPORTER_OTLP_ENDPOINT: '' })).toBeUndefined();
});

test('the common endpoint gets the path of traces, the one for traces is taken as it is', () => {
  const common = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4318/base/' };
  expect(otlpFrom(common)).toEqual({
    url: 'http://127.0.0.1:4318/base/v1/traces',
    timeoutMs: 1000,
  });
  const own = { ...common, OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'https://traces.example/in' };
  expect(otlpFrom(own)?.url).toBe('https://traces.example/in');
});

test('headers and time are those for traces where there are any', () => {
  const target = otlpFrom({
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4318',
    OTEL_EXPORTER_OTLP_HEADERS: 'x-other=1',
    OTEL_EXPORTER_OTLP_TRACES_HEADERS: 'authorization=Bearer%20t, x-team = north',
    OTEL_EXPORTER_OTLP_TIMEOUT: '2500',
  });
  expect(target?.headers).toEqual({ authorization: 'Bearer t', 'x-team': 'north' });
  expect(target?.timeoutMs).toBe(2500);
});

test.each([
  ['OTEL_EXPORTER_OTLP_ENDPOINT', 'no url secret'],
  ['OTEL_EXPORTER_OTLP_ENDPOINT', 'file:///etc/secret'],
  ['OTEL_EXPORTER_OTLP_ENDPOINT', 'http://user:secret@127.0.0.1:4318'],
  ['OTEL_EXPORTER_OTLP_HEADERS', 'secret'],
  ['OTEL_EXPORTER_OTLP_HEADERS', 'a=%secret'],
  ['OTEL_EXPORTER_OTLP_HEADERS', 'a=secret%0d%0ab: c'],
  ['OTEL_EXPORTER_OTLP_TIMEOUT', 'secret'],
  ['OTEL_EXPORTER_OTLP_TIMEOUT', '0'],
  ['OTEL_EXPORTER_OTLP_TIMEOUT', '600000'],
])('%s that is wrong is named, and its value is not repeated', (name, value) => {
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:4318', [name]: value };
  expect(() => otlpFrom(env)).toThrow(name);
  expect(() => otlpFrom(env)).not.toThrow('secret');
});
