import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { createCityWorksApp } from '#services/city-works/app.ts';
import { observeWorks } from '#services/city-works/observer.ts';
import { openWorks } from '#services/city-works/works.ts';
import { openDoor } from '#services/door.ts';
import {
  ACTION,
  authorizer,
  errorCode,
  http,
  json,
  MCP,
  policyOf,
  recordId,
  verified,
} from './world.ts';

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

const now = () => new Date(1_700_000_000_000);

function scratch(): string {
  const folder = mkdtempSync(join(tmpdir(), 'works-'));
  closing.push(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function city(path = ':memory:') {
  const works = openWorks(path, now);
  const { authorize } = authorizer(
    'city-works',
    policyOf(({ subject }) => (subject.id === MCP ? ['orders_works'] : false)),
  );
  const app = createCityWorksApp({ authorize, works });
  const door = openDoor(app);
  const close = async () => {
    await app.close();
    works.close();
  };
  const post = (route: string, body: object, from = MCP, causes = [recordId()]) =>
    door(verified(from, http('POST', route, { order: causes[0], ...body }), { causes }));
  return { works, door, post, close };
}

function managed(path?: string) {
  const opened = city(path);
  closing.push(opened.close);
  return opened;
}

test('only the tool server orders; the same order of an agent is refused', async () => {
  const { works, post } = managed();
  const plan = { district: 'north', plan: 'B' };
  expect(errorCode(await post('/signal/plan', plan, ACTION))).toBe('OPERATION_NOT_ALLOWED');
  expect(works.state()).toMatchObject({ signals: {}, orders: [] });
  expect(json(await post('/signal/plan', plan))).toMatchObject({ applied: true });
  expect(works.state().signals).toEqual({ north: 'B' });
});

test('an order counts once under its record id; another under the same id is a conflict', async () => {
  const { works, post } = managed();
  const causes = [recordId()];
  expect(json(await post('/valve', { delta_pct: 5 }, MCP, causes))).toMatchObject({
    applied: true,
  });
  expect(json(await post('/valve', { delta_pct: 5 }, MCP, causes))).toMatchObject({
    applied: false,
  });
  const other = await post('/valve', { delta_pct: 9 }, MCP, causes);
  expect([other.response.status, errorCode(other)]).toEqual([409, 'ORDER_CONFLICT']);
  expect(works.state().valve_pct).toBe(55);
  // A fresh identical order is a new order.
  await post('/valve', { delta_pct: 5 });
  expect(works.state()).toMatchObject({ valve_pct: 60, orders: [{}, {}] });
});

test('an order must name a cause of the record that carries it', async () => {
  const { works, door } = managed();
  const cause = recordId();
  const send = (order: string) =>
    door(
      verified(MCP, http('POST', '/valve', { order, delta_pct: 5 }), {
        causes: [recordId(), cause],
      }),
    );
  expect(errorCode(await send(recordId()))).toBe('ORDER_WITHOUT_CAUSE');
  expect(errorCode(await send('1'))).toBe('BODY_INVALID');
  expect(works.state().orders).toHaveLength(0);
  expect(json(await send(cause))).toEqual({ order: cause, applied: true });
});

test('the valve moves between closed and open, never beyond', async () => {
  const { works, post } = managed();
  await post('/valve', { delta_pct: 90 });
  expect(works.state().valve_pct).toBe(100);
  await post('/valve', { delta_pct: -100 });
  await post('/valve', { delta_pct: -100 });
  expect(works.state().valve_pct).toBe(0);
});

test('state is read over the bus by the tool server, and by nobody else', async () => {
  const { door } = managed();
  expect(json(await door(verified(MCP, http('GET', '/state')))).valve_pct).toBe(50);
  expect(errorCode(await door(verified(ACTION, http('GET', '/state'))))).toBe(
    'OPERATION_NOT_ALLOWED',
  );
});

test('a restart forgets neither the state nor the orders that were carried out', async () => {
  const path = join(scratch(), 'works.db');
  const first = city(path);
  const causes = [recordId()];
  await first.post('/valve', { delta_pct: 5 }, MCP, causes);
  await first.close();
  const second = managed(path);
  expect(json(await second.post('/valve', { delta_pct: 5 }, MCP, causes))).toMatchObject({
    applied: false,
  });
  expect(second.works.state().valve_pct).toBe(55);
});

function read(options: { socketPath?: string; port?: number }, method = 'GET', path = '/state') {
  return new Promise<{ status: number | undefined; body: Record<string, unknown> }>(
    (resolve, reject) => {
      httpRequest({ ...options, host: '127.0.0.1', method, path }, async (response) => {
        let text = '';
        for await (const chunk of response) text += chunk;
        resolve({ status: response.statusCode, body: JSON.parse(text) });
      })
        .on('error', reject)
        .end();
    },
  );
}

test('the works are observed from outside, read-only, over a socket of the owner’s', async () => {
  const { works, post } = managed();
  const socketPath = join(scratch(), 'observe.sock');
  const observer = await observeWorks({ socketPath }, works.state);
  closing.push(observer.close);
  expect(statSync(socketPath).mode & 0o777).toBe(0o600);
  await post('/signal/plan', { district: 'north', plan: 'C' });
  expect((await read({ socketPath })).body).toEqual(works.state());
  for (const [method, path] of [
    ['POST', '/valve'],
    ['POST', '/state'],
    ['GET', '/'],
  ]) {
    expect((await read({ socketPath }, method, path)).status).toBe(404);
  }
  expect(works.state().orders).toHaveLength(1);
});

test('observation works on loopback too, and ends with the service', async () => {
  const { works } = managed();
  const observer = await observeWorks({ port: 0 }, works.state);
  const port = Number(new URL(observer.address).port);
  expect((await read({ port })).body.valve_pct).toBe(50);
  await observer.close();
  await expect(read({ port })).rejects.toThrow();
});

test('a socket left behind is replaced; a file in its place is not touched', async () => {
  const { works } = managed();
  const folder = scratch();
  const stale = join(folder, 'stale.sock');
  const left = createServer().listen(stale);
  await new Promise((resolve) => left.once('listening', resolve));
  closing.push(() => left.close());
  const observer = await observeWorks({ socketPath: stale }, works.state);
  closing.push(observer.close);
  expect((await read({ socketPath: stale })).status).toBe(200);
  const file = join(folder, 'precious');
  writeFileSync(file, 'x');
  await expect(observeWorks({ socketPath: file }, works.state)).rejects.toThrow('is no socket');
  expect(statSync(file).size).toBe(1);
});
