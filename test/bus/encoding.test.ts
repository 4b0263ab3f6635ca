import { fromPublic, fromSeed } from '@nats-io/nkeys';
import { describe, expect, test } from 'vitest';
import { createMerge } from '#bus/client/merge.ts';
import type { Incoming } from '#bus/client/nats.ts';
import { DOOR_CODES, GATE_CODES, REQUEST_CODES } from '#bus/codes.ts';
import { createNKey, nkeyFromSeed, publicNKey } from '#bus/gate/nkey.ts';
import { encodeRequest, encodeResponse, parseRequest, parseResponse } from '#bus/http-message.ts';
import { covers } from '#bus/pattern.ts';
import { renderServerConfig, type ServerConfig } from '#bus/server-config.ts';
import { randomOf } from '#test/support/swarm.ts';

const bytes = (text: string) => Buffer.from(text);

describe('NKeys', () => {
  test('are those of the NATS library, in both directions', () => {
    for (const kind of ['user', 'account'] as const) {
      const { seed, publicKey } = createNKey(kind, randomOf);
      const theirs = fromSeed(bytes(seed));
      expect(publicKey).toBe(theirs.getPublicKey());
      const signature = nkeyFromSeed(kind, seed).sign(bytes('x'));
      expect(fromPublic(publicKey).verify(bytes('x'), signature)).toBe(true);
      expect(publicNKey(kind, publicKey)).toBeDefined();
    }
  });

  test('refuse another kind, a changed character and a foreign one, without naming the seed', () => {
    const { seed, publicKey } = createNKey('user', randomOf);
    expect(() => nkeyFromSeed('account', seed)).toThrow(/^not an NKey seed of kind account$/);
    const changed = `${publicKey.slice(0, 20)}${publicKey[20] === 'A' ? 'B' : 'A'}${publicKey.slice(21)}`;
    for (const wrong of [changed, publicKey.toLowerCase(), `${publicKey}A`, '', '!']) {
      expect(publicNKey('user', wrong)).toBeUndefined();
    }
    expect(publicNKey('account', publicKey)).toBeUndefined();
  });
});

describe('the server configuration', () => {
  const key = (kind: 'user' | 'account') => createNKey(kind, randomOf).publicKey;
  const config: ServerConfig = {
    serverName: 'x',
    port: -1,
    pidFile: '/x/pid',
    storeDir: '/x/store',
    tls: { certFile: '/x/c', keyFile: '/x/k', caFile: '/x/ca' },
    issuer: key('account'),
    users: { gates: [key('user')], operator: key('user'), system: key('user') },
  };

  test('listens on loopback only, wants certificates, and opens no other listener', () => {
    const text = renderServerConfig(config);
    expect(text).toContain('host: "127.0.0.1"');
    expect(text).toContain('verify: true');
    expect(text).not.toMatch(/verify_and_map|http|websocket|leafnodes|mqtt|cluster|no_auth_user/);
  });

  test('refuses text that would change its meaning, keys that are none, and shared keys', () => {
    for (const storeDir of ['/x" }', '/x\n}', '/x\\']) {
      expect(() => renderServerConfig({ ...config, storeDir })).toThrow(/store folder/);
    }
    const { users } = config;
    expect(() => renderServerConfig({ ...config, issuer: 'A}' })).toThrow(/issuer key/);
    const shared = { ...users, operator: users.system };
    expect(() => renderServerConfig({ ...config, users: shared })).toThrow(/one NKey/);
    expect(() => renderServerConfig({ ...config, users: { ...users, gates: [] } })).toThrow(/gate/);
  });
});

describe('HTTP inside a payload', () => {
  const request = { method: 'POST', path: '/v1/x?y=1', contentType: 'application/json', body: 'é' };

  test('round-trips', () => {
    expect(parseRequest(encodeRequest(request))).toEqual({ ok: true, value: request });
  });

  test('refuses other methods, paths with a second meaning, and members it does not know', () => {
    const wrong = [
      { ...request, method: 'CONNECT' },
      { ...request, path: '//host/x' },
      { ...request, path: '/a/../b' },
      { ...request, path: '/a/%2e%2E/b' },
      { ...request, path: 'http://x/' },
      { ...request, path: '/a\r\nb' },
      { ...request, contentType: 'a\r\nx: y' },
      { ...request, body: {} },
      { ...request, headers: {} },
      [request],
    ];
    for (const value of wrong) {
      expect(parseRequest(bytes(JSON.stringify(value))).ok).toBe(false);
    }
    expect(parseRequest(Buffer.from([0xff, 0xfe])).ok).toBe(false);
    for (const status of [99, 600, 200.5, '200']) {
      const text = JSON.stringify({ status, contentType: '', body: '' });
      expect(parseResponse(bytes(text)).ok).toBe(false);
    }
    expect(parseResponse(bytes('{"status":200,"contentType":"","body":""}')).ok).toBe(true);
  });
});

describe('a decision beside an answer', () => {
  const answer = { status: 403, contentType: 'application/json', body: '{}' };
  const decision = { id: 'd-1', allow: false, reasons: ['tool_granted'], revision: 'a1' };

  test('round-trips, and an answer without one stays as it was', () => {
    const whole = { ...answer, decision };
    expect(parseResponse(encodeResponse(whole))).toEqual({ ok: true, value: whole });
    expect(parseResponse(encodeResponse(answer))).toEqual({ ok: true, value: answer });
    expect(Buffer.from(encodeResponse(answer)).toString()).toBe(JSON.stringify(answer));
  });

  test('is refused when a member is missing, more or not of its form', () => {
    const { id: _, ...anonymous } = decision;
    const wrong = [
      null,
      [],
      'yes',
      anonymous,
      { ...decision, more: 1 },
      { ...decision, id: 'a b' },
      { ...decision, allow: 'false' },
      { ...decision, reasons: [] },
      { ...decision, reasons: 'tool_granted' },
      { ...decision, reasons: ['\u001b[2J'] },
      { ...decision, reasons: Array.from({ length: 33 }, () => 'a') },
      { ...decision, revision: '\n' },
    ];
    for (const given of wrong) {
      expect(parseResponse(bytes(JSON.stringify({ ...answer, decision: given }))).ok).toBe(false);
    }
    expect(parseResponse(bytes(JSON.stringify({ ...answer, decisions: decision }))).ok).toBe(false);
  });
});

test('patterns cover what NATS would deliver', () => {
  expect(covers('svc.llm.*', 'svc.llm.a')).toBe(true);
  expect(covers('svc.llm.*', 'svc.llm.a.b')).toBe(false);
  expect(covers('svc.llm.*', 'svc.llm')).toBe(false);
  expect(covers('a.>', 'a.b.c')).toBe(true);
  expect(covers('a.>', 'a')).toBe(false);
});

test('two connections with one subscription give each message once, in order', () => {
  const got: string[] = [];
  const message = (id: string): Incoming => ({
    subject: 's',
    reply: undefined,
    headers: [['Custody', [id]]],
    status: 0,
    data: new Uint8Array(),
  });
  const merge = createMerge(({ headers }) => {
    if (headers !== undefined && headers !== 'malformed')
      for (const [, [id]] of headers) got.push(id ?? '');
  });
  const old = merge.add();
  merge.push(old, message('1'));
  const next = merge.add();
  merge.push(next, message('2'));
  merge.push(next, message('3'));
  merge.push(old, message('2'));
  expect(got).toEqual(['1', '2']);
  merge.settle();
  merge.push(old, message('2'));
  merge.push(next, message('4'));
  expect(got).toEqual(['1', '2', '3', '4']);
});

test('every code says its kind and one sentence', () => {
  for (const table of [GATE_CODES, DOOR_CODES, REQUEST_CODES]) {
    for (const { kind, meaning } of Object.values(table)) {
      expect(['not-authentic', 'not-allowed', 'unavailable']).toContain(kind);
      expect(meaning).toMatch(/^[A-Z].*\.$/);
    }
  }
});
