import { expect, test } from 'vitest';
import { parseEndpoint } from '#identity/workload-api/endpoint.ts';

test.each([
  ['unix:///run/a.sock', { kind: 'unix', path: '/run/a.sock' }],
  ['/run/a.sock', { kind: 'unix', path: '/run/a.sock' }],
  ['tcp://127.0.0.1:8000', { kind: 'tcp', host: '127.0.0.1', port: 8000 }],
  ['tcp://[::1]:8000', { kind: 'tcp', host: '::1', port: 8000 }],
])('%s (E-05)', (text, value) => {
  expect(parseEndpoint(text)).toEqual({ ok: true, value });
});

test.each([
  '',
  'a.sock',
  'unix:a.sock',
  'unix://host/a.sock',
  'unix:///a.sock?x',
  'unix:///a.sock#x',
  'tcp://localhost:8000',
  'tcp://127.0.0.1',
  'tcp://127.0.0.1:0',
  'tcp://127.0.0.1:65536',
  'tcp://127.0.0.1:8000/foo',
  'tcp://127.0.0.1:8000/',
  'tcp://u@127.0.0.1:8000',
  'http://127.0.0.1:8000',
  '/run/a\0.sock',
])('%j is refused (E-05)', (text) => {
  expect(parseEndpoint(text)).toMatchObject({ ok: false, code: 'ENDPOINT_INVALID' });
});
