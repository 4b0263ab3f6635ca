import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openJaeger } from '#cli/wiring/jaeger.ts';
import { standInJaeger } from '../runtime/jaeger/stand-in.ts';
import { folder } from '../swarm/city.ts';

let place: ReturnType<typeof folder>;
const servers: Server[] = [];
beforeEach(() => {
  place = folder();
});
afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
  place.remove();
});

/** Answers as Jaeger does, at a port of its own, and counts who asked. */
async function running() {
  let asked = 0;
  const server = createServer((_request, answer) => {
    asked += 1;
    answer.end('{"data":null,"total":0,"limit":0,"offset":0,"errors":null}');
  }).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url, asked: () => asked };
}

function wanted(over: Partial<Parameters<typeof openJaeger>[0]> = {}) {
  return {
    url: undefined,
    otlp: undefined,
    runPath: `${place.path}/run`,
    environment: { PATH: '/nowhere' },
    say: () => {},
    ...over,
  };
}

test('a URL beside an endpoint of the environment is the way of links, and nobody asks there', async () => {
  const { url, asked } = await running();
  const otlp = 'http://jaeger:4318/v1/traces';
  const jaeger = await openJaeger(wanted({ url: `${url}/`, otlp }));
  expect(jaeger).toMatchObject({ kind: 'named', ui: url, otlp });
  expect(asked()).toBe(0);
});

test('a URL where no Jaeger is ends with one line that says what to do', async () => {
  const why = openJaeger(wanted({ url: 'http://127.0.0.1:1' }));
  await expect(why).rejects.toThrow(
    /^--jaeger: nothing answers at http:\/\/127\.0\.0\.1:1; start Jaeger there: docker run .+$/,
  );
});

test.each(['swarms/smart-city.yaml', 'ftp://127.0.0.1', 'http://me:secret@127.0.0.1'])(
  '%s is no URL of a UI, and is not repeated',
  async (url) => {
    const why = openJaeger(wanted({ url }));
    await expect(why).rejects.toThrow('--jaeger takes an http or https URL');
    await expect(why).rejects.not.toThrow('secret');
  },
);

test('without one that runs, the one that the environment names is started, and ends when told', async (context) => {
  const usual = await fetch('http://127.0.0.1:16686/api/services').catch(() => undefined);
  if (usual !== undefined) context.skip('something answers at the usual place of Jaeger');
  const program = standInJaeger(place.path);
  const jaeger = await openJaeger(wanted({ environment: { SWARMPROOF_JAEGER: program } }));
  expect(jaeger.kind).toBe('started');
  expect((await fetch(`${jaeger.ui}/api/services`)).status).toBe(200);
  await jaeger.stop();
  await expect(fetch(`${jaeger.ui}/api/services`)).rejects.toThrow();
});

test('one that the environment names and that is none is refused by its name', async (context) => {
  const usual = await fetch('http://127.0.0.1:16686/api/services').catch(() => undefined);
  if (usual !== undefined) context.skip('something answers at the usual place of Jaeger');
  const why = openJaeger(wanted({ environment: { SWARMPROOF_JAEGER: '/bin/false' } }));
  await expect(why).rejects.toThrow(/correct or unset SWARMPROOF_JAEGER; or: docker run/);
});
