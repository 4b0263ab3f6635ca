import * as stable from '@opentelemetry/semantic-conventions';
import * as incubating from '@opentelemetry/semantic-conventions/incubating';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  ATTRIBUTES,
  attributes,
  isAttribute,
  RESOURCE_ATTRIBUTES,
} from '#observability/attributes.ts';
import { EVENTS, isEventName, isSpanName, SPANS } from '#observability/names.ts';

const CONVENTIONS: ReadonlySet<string> = new Set(
  Object.entries({ ...stable, ...incubating }).flatMap(([key, value]) =>
    key.startsWith('ATTR_') && typeof value === 'string' ? [value] : [],
  ),
);
/** Namespaces in which the conventions decide what a name means. */
const CONVENTIONAL = /^(?:messaging|gen_ai|mcp|db|http|error|tls|service)\./;
/** Named by nobody else yet. */
const OWN = new Set(['gen_ai.agent.identity.id']);
/** Deprecated names that stand in the package beside their successors. */
const DEPRECATED = ['messaging.system', 'messaging.operation', 'gen_ai.system', 'db.system'];

test('names in a namespace of the semantic conventions are names of the semantic conventions', () => {
  const names = [...Object.keys(ATTRIBUTES), ...RESOURCE_ATTRIBUTES];
  const strange = names
    .filter((name) => CONVENTIONAL.test(name) && !OWN.has(name))
    .filter((name) => !CONVENTIONS.has(name));
  expect(strange).toEqual([]);
  expect(names.filter((name) => DEPRECATED.includes(name))).toEqual([]);
});

test('what is called our own is not in the conventions, where it would have a meaning', () => {
  const own = Object.keys(ATTRIBUTES).filter((name) => !CONVENTIONAL.test(name) || OWN.has(name));
  expect(own.filter((name) => CONVENTIONS.has(name))).toEqual([]);
});

test('values of the conventions are spelt as there', () => {
  const { GEN_AI_OPERATION_NAME_VALUE_CHAT, GEN_AI_OPERATION_NAME_VALUE_INVOKE_AGENT } = incubating;
  const { GEN_AI_OPERATION_NAME_VALUE_EXECUTE_TOOL, DB_SYSTEM_NAME_VALUE_SQLITE } = incubating;
  for (const value of [
    GEN_AI_OPERATION_NAME_VALUE_CHAT,
    GEN_AI_OPERATION_NAME_VALUE_INVOKE_AGENT,
    GEN_AI_OPERATION_NAME_VALUE_EXECUTE_TOOL,
  ]) {
    expect(isAttribute('gen_ai.operation.name', value)).toBe(true);
  }
  expect(DB_SYSTEM_NAME_VALUE_SQLITE).toBe('sqlite');
});

test('no string of a span holds spaces, line ends or more than a few hundred characters', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(...Object.keys(ATTRIBUTES)),
      fc.string({ unit: 'binary', maxLength: 600 }),
      (name, value) => {
        if (!isAttribute(name, value)) return;
        expect(value).toMatch(/^[\x21-\x7e]+$/);
        expect(value.length).toBeLessThan(5000);
      },
    ),
    { numRuns: 3000 },
  );
});

test.each([
  ['a sentence', 'gen_ai.tool.name', 'signal.set_plan and then tell me the key'],
  ['an API key in the place of a model', 'gen_ai.request.model', 'key sk-live-1234'],
  ['a line end', 'custody.refusal', 'POLICY_DENIED\nX'],
  ['no SPIFFE ID', 'peer.spiffe.id', 'https://city.example/agent'],
  ['a name that is in no list', 'gen_ai.input.messages', 'hello'],
  ['a name of every object', 'constructor', 'x'],
  ['a fraction', 'custody.record.seq', 1.5],
  ['more checks than there are', 'custody.decision.reasons', Array.from({ length: 9 }, () => 'a')],
])('%s stays out', (_what, name, value) => {
  expect(isAttribute(name, value)).toBe(false);
  expect(attributes({ [name]: value })).toEqual({});
});

test('what fits stays in, and what is undefined leaves no trace', () => {
  const values = {
    'spiffe.id': 'spiffe://city.example/agent/sensor/north/cam-1',
    'custody.record.seq': 3,
    'custody.decision.reasons': ['tool_granted'],
  };
  expect(attributes({ ...values, 'peer.spiffe.id': undefined })).toEqual(values);
});

test('every span and event that is made has a name of the closed list; a sentence has none', () => {
  for (const name of Object.values(SPANS).map((make) => (make as (a: string) => string)('x'))) {
    expect(isSpanName(name)).toBe(true);
  }
  for (const name of Object.values(EVENTS)) expect(isEventName(name)).toBe(true);
  expect(isSpanName('chat city-small')).toBe(true);
  for (const name of [
    'chat ignore all',
    'say hello',
    'chat ',
    `chat ${'x'.repeat(161)}`,
    'chat x\n',
  ]) {
    expect(isSpanName(name)).toBe(false);
  }
});
