import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { renderJaegerConfig } from '#runtime/jaeger/config.ts';

const PORTS = { ui: 41001, otlp: 41002, grpc: 41003 };

/** Every `endpoint` in a configuration, with the path that leads to it. */
function endpoints(value: unknown, at = ''): [string, unknown][] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([key, inner]): [string, unknown][] =>
    key === 'endpoint' ? [[at, inner]] : endpoints(inner, `${at}/${key}`),
  );
}

test('a Jaeger of the swarm listens on loopback, at three ports and no other', () => {
  expect(endpoints(parse(renderJaegerConfig(PORTS)))).toEqual([
    ['/extensions/jaeger_query/http', '127.0.0.1:41001'],
    ['/extensions/jaeger_query/grpc', '127.0.0.1:41003'],
    ['/receivers/otlp/protocols/http', '127.0.0.1:41002'],
  ]);
});

test('it takes OTLP over HTTP alone, keeps it in memory, and tells nobody of itself', () => {
  const config = parse(renderJaegerConfig(PORTS));
  expect(Object.keys(config.receivers)).toEqual(['otlp']);
  expect(Object.keys(config.receivers.otlp.protocols)).toEqual(['http']);
  expect(Object.keys(config.extensions.jaeger_storage.backends.memory)).toEqual(['memory']);
  expect(config.service.telemetry.metrics).toEqual({ level: 'none' });
  expect(config.extensions.jaeger_query.enable_tracing).toBe(false);
});
