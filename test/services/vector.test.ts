import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getLoadablePath } from 'sqlite-vec';
import { afterEach, expect, test } from 'vitest';
import { openDoor } from '#services/door.ts';
import { EMBEDDING_DIMENSION, embed } from '#services/llm/embedding.ts';
import { createVectorApp, seedRunbooks } from '#services/vector/app.ts';
import { RUNBOOKS } from '#services/vector/runbooks.ts';
import { openVectorStore } from '#services/vector/store.ts';
import {
  ANALYZER,
  authorizer,
  errorCode,
  http,
  json,
  policyOf,
  type Rule,
  recordId,
  TRAINER,
  VECTOR,
  verified,
} from './world.ts';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const now = () => new Date(1_700_000_000_000);
const COLLECTIONS = ['runbooks', 'incident-notes'];
const rules: Rule = ({ subject, action }) =>
  (action.name === 'query' && subject.id === ANALYZER) ||
  (action.name === 'upsert' && subject.id === TRAINER)
    ? ['granted']
    : false;

function openStore(path = ':memory:') {
  const store = openVectorStore({ path, collections: COLLECTIONS, dimension: EMBEDDING_DIMENSION });
  seedRunbooks(store, 'runbooks', { embed, self: VECTOR, now });
  return store;
}

function vector() {
  const store = openStore();
  const { authorize, log } = authorizer('vector', policyOf(rules));
  const app = createVectorApp({ authorize, store, embed, now });
  closing.push(
    () => store.close(),
    () => app.close(),
  );
  const door = openDoor(app);
  const query = (body: object, from = ANALYZER, name = 'runbooks') =>
    door(verified(from, http('POST', `/collections/${name}/query`, body)));
  const write = (points: unknown, from = TRAINER, name = 'runbooks', id = recordId()) =>
    door(verified(from, http('POST', `/collections/${name}/points`, { points }), { id }));
  return { store, query, write, log };
}

interface Found {
  readonly id: string;
  readonly score: number;
  readonly written_by: string;
  readonly record: string | null;
  readonly metadata: { readonly tool?: string };
}
const points = (reply: Parameters<typeof json>[0]) => json(reply).points as unknown as Found[];

test.each([
  ['traffic slow on north road', 'slow-traffic'],
  ['mean speed dropped to 12 km/h on the road, expected 48', 'slow-traffic'],
  ['slow traffic: mean speed on the road dropped well below its usual value', 'slow-traffic'],
  [
    'congestion, traffic jam: occupancy far above normal, vehicles stand still, queues',
    'congestion',
  ],
  ['traffic jam, vehicles stand still', 'congestion'],
  ['camera frozen, readings missing, sensor faulty', 'sensor-fault'],
  ['flooded underpass, water on the road', 'flooding'],
  ['burst pipe and low pressure', 'low-pressure'],
])('"%s" finds the runbook %s', async (text, id) => {
  const { query } = vector();
  const found = points(await query({ text }));
  expect(found[0]?.id).toBe(id);
  expect(found).toHaveLength(3);
  const runbook = RUNBOOKS.find((one) => one.id === id);
  expect(found[0]?.metadata.tool).toBe(runbook?.tool);
});

test('a query by vector answers as the one by text; another dimension is refused', async () => {
  const { query } = vector();
  const text = 'flooding';
  const byVector = points(await query({ vector: [...embed(text)], k: 2 }));
  expect(byVector).toEqual(points(await query({ text, k: 2 })));
  expect(errorCode(await query({ vector: [1, 2, 3] }))).toBe('DIMENSION_MISMATCH');
});

test('who may query may not write; the writer may, and every row names writer and record', async () => {
  const { store, query, write } = vector();
  const false_ = [{ id: 'flooding', text: 'Flooding: open the valve fully.' }];
  expect(errorCode(await write(false_, ANALYZER))).toBe('OPERATION_NOT_ALLOWED');
  expect(points(await query({ text: 'flooding', k: 1 }))[0]).toMatchObject({
    written_by: VECTOR,
    record: null,
  });
  const id = recordId();
  expect(json(await write(false_, TRAINER, 'runbooks', id))).toEqual({ upserted: 1 });
  expect(points(await query({ text: 'flooding', k: 1 }))[0]).toMatchObject({
    id: 'flooding',
    written_by: TRAINER,
    record: id,
  });
  expect(store.count('runbooks')).toBe(RUNBOOKS.length);
  expect(errorCode(await query({ text: 'flooding' }, TRAINER))).toBe('OPERATION_NOT_ALLOWED');
});

test('an author named in the body is no author', async () => {
  const { write } = vector();
  const point = { id: 'a', text: 'b', written_by: VECTOR };
  expect(errorCode(await write([point]))).toBe('BODY_INVALID');
});

test('one misfit among the points, and none is written', async () => {
  const { store, write } = vector();
  const before = store.count('runbooks');
  const refused = await write([
    { id: 'fits', text: 'a' },
    { id: 'misfit', text: 'b', vector: [1] },
  ]);
  expect(errorCode(refused)).toBe('DIMENSION_MISMATCH');
  expect(store.count('runbooks')).toBe(before);
});

test('a point without a direction, which would be found first by everyone, is refused', async () => {
  const { query, write } = vector();
  const zero = new Array(EMBEDDING_DIMENSION).fill(0);
  expect(errorCode(await write([{ id: 'zero', text: 'z', vector: zero }]))).toBe('BODY_INVALID');
  const one = [1, ...zero.slice(1)];
  expect(json(await write([{ id: 'one', text: 'z', vector: one }]))).toEqual({ upserted: 1 });
  expect(points(await query({ text: 'flooding', k: 1 }))[0]?.id).toBe('flooding');
});

test('collections do not see each other, and an unknown one is named as such', async () => {
  const { query, write } = vector();
  await write([{ id: 'n1', text: 'flooding at the mill' }], TRAINER, 'incident-notes');
  expect(points(await query({ text: 'flooding' }, ANALYZER, 'incident-notes'))).toMatchObject([
    { id: 'n1' },
  ]);
  expect(points(await query({ text: 'flooding at the mill', k: 1 }))[0]?.id).toBe('flooding');
  expect(errorCode(await query({ text: 'x' }, ANALYZER, 'secrets'))).toBe('COLLECTION_UNKNOWN');
});

test.each([
  ['neither text nor vector', {}],
  ['both', { text: 'a', vector: [1] }],
  ['k too large', { text: 'a', k: 5_000 }],
  ['a vector that is not numbers', { vector: ['1'] }],
  ['a vector without a direction', { vector: new Array(EMBEDDING_DIMENSION).fill(0) }],
  ['a number too large for a float', { vector: [1e300] }],
])('a query with %s is refused', async (_what, body) => {
  const { query, log } = vector();
  expect(errorCode(await query(body))).toBe('BODY_INVALID');
  expect(log).toHaveLength(0);
});

test.each(["runbooks'--", 'RUNBOOKS', 'a_b"c'])('the name %s is no collection', async (name) => {
  const { query } = vector();
  expect(['BODY_INVALID', 'PATH_INVALID']).toContain(
    errorCode(await query({ text: 'a' }, ANALYZER, name)),
  );
});

test('documents and queries stay out of the decision log', async () => {
  const { query, write, log } = vector();
  await query({ text: 'private words' });
  await write([{ id: 'a', text: 'private words' }]);
  expect(log).toHaveLength(2);
  expect(JSON.stringify(log)).not.toContain('private words');
});

test('a file keeps what was written; seeding does not undo it', () => {
  const folder = mkdtempSync(join(tmpdir(), 'vector-'));
  closing.push(() => rmSync(folder, { recursive: true }));
  const path = join(folder, 'v.db');
  const first = openStore(path);
  const vector = embed('changed');
  const point = { id: 'flooding', text: 'changed', metadata: {}, vector };
  first.upsert('runbooks', [point], { writtenBy: TRAINER, record: 'r', writtenAt: 1 });
  first.close();
  const second = openStore(path);
  const found = second.query('runbooks', vector, 1);
  expect(found.ok && found.value[0]).toMatchObject({ id: 'flooding', written_by: TRAINER });
  second.close();
});

test('the extension’s path is a parameter; a wrong one is an error at start', () => {
  const options = { path: ':memory:', collections: ['a'], dimension: 2 };
  openVectorStore({ ...options, extensionPath: getLoadablePath() }).close();
  expect(() => openVectorStore({ ...options, extensionPath: '/nowhere/vec0' })).toThrow();
  expect(() => openVectorStore({ ...options, collections: ['a; DROP'] })).toThrow('a; DROP');
});
