import { expect, test } from 'vitest';
import { chooseEndpoint, parseEndpoint } from '#identity/workload-api/endpoint.ts';

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

test('SPIFFE_ENDPOINT_SOCKET counts where no address is configured, and only there (E-05)', () => {
  const environment = { SPIFFE_ENDPOINT_SOCKET: 'unix:///run/env.sock' };
  const codeOr = (configured: string | undefined, from: Record<string, string> = environment) => {
    const chosen = chooseEndpoint(configured, from);
    return chosen.ok ? chosen.value : chosen.code;
  };
  expect(codeOr(undefined)).toBe('unix:///run/env.sock');
  expect(codeOr('/run/a.sock')).toBe('/run/a.sock');
  expect(codeOr(undefined, {})).toBe('ENDPOINT_INVALID');
  expect(codeOr('', environment)).toBe('ENDPOINT_INVALID');
  expect(codeOr(undefined, { SPIFFE_ENDPOINT_SOCKET: 'run/a.sock' })).toBe('ENDPOINT_INVALID');
});
