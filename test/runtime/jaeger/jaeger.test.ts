import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { startJaeger } from '#runtime/jaeger/jaeger.ts';
import { jaegerAt, probeJaeger } from '#runtime/jaeger/probe.ts';
import { findLifeline } from '#runtime/launcher/lifeline.ts';
import { survivors } from '../../swarm/city.ts';
import { tempFolder, value } from '../support.ts';
import { standInJaeger } from './stand-in.ts';

let folder: Awaited<ReturnType<typeof tempFolder>>;
const servers: Server[] = [];
beforeEach(async () => {
  folder = await tempFolder();
});
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
  await folder.remove();
});

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, '127.0.0.1');
  servers.push(server);
  await once(server, 'listening');
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const SERVICES = '{"data":["action"],"total":1,"limit":0,"offset":0,"errors":null}';
const PROBE = { fetch, timeoutMs: 30_000 };

describe('whether a Jaeger is there', () => {
  test('one that answers as Jaeger and takes spans is one', async () => {
    const asked: string[] = [];
    const url = await serve((request, answer) => {
      asked.push(`${request.method} ${request.url}`);
      answer.end(request.method === 'GET' ? SERVICES : '{}');
    });
    expect(await probeJaeger({ ui: url, otlp: `${url}/v1/traces` }, PROBE)).toBeUndefined();
    expect(asked).toEqual(['GET /api/services', 'POST /v1/traces']);
  });

  test.each<[string, RequestListener, string]>([
    ['another page', (_request, answer) => void answer.end('<html>'), 'is no Jaeger'],
    ['another API', (_request, answer) => void answer.end('{"data":7}'), 'is no Jaeger'],
    ['an error', (_request, answer) => void answer.writeHead(503).end(), 'answered 503'],
    ['silence', () => {}, 'nothing answers at'],
    [
      'a page elsewhere',
      (_request, answer) => void answer.writeHead(302, { location: '/login' }).end(),
      'nothing answers at',
    ],
    [
      'an answer without an end',
      (_request, answer) => {
        const more = () => {
          if (answer.write('x'.repeat(65_536))) setImmediate(more);
          else answer.once('drain', more);
        };
        more();
      },
      'is no Jaeger',
    ],
  ])('%s is none', async (what, listener, why) => {
    const url = await serve(listener);
    const timeoutMs = what === 'silence' ? 500 : PROBE.timeoutMs;
    const said = await probeJaeger({ ui: url, otlp: `${url}/v1/traces` }, { fetch, timeoutMs });
    expect(said).toContain(why);
    expect(said).toContain(url);
  });

  test('one that takes no spans is told apart', async () => {
    const url = await serve((request, answer) => {
      if (request.method === 'GET') answer.end(SERVICES);
      else answer.writeHead(404).end();
    });
    expect(await probeJaeger({ ui: url, otlp: `${url}/v1/traces` }, PROBE)).toBe(
      `${url}/v1/traces answered 404`,
    );
    expect(await probeJaeger({ ui: url, otlp: 'http://127.0.0.1:1/v1/traces' }, PROBE)).toContain(
      'nothing takes spans',
    );
  });

  test('spans go to the usual port of the host that has the UI', () => {
    expect(jaegerAt('http://127.0.0.1:16686/')).toEqual({
      ui: 'http://127.0.0.1:16686',
      otlp: 'http://127.0.0.1:4318/v1/traces',
    });
    expect(jaegerAt('https://traces.example/jaeger').otlp).toBe(
      'https://traces.example:4318/v1/traces',
    );
  });
});

describe("a Jaeger of the swarm's own", () => {
  async function start() {
    return value(
      await startJaeger({
        program: standInJaeger(folder.path),
        runPath: `${folder.path}/run`,
        lifeline: await findLifeline(),
        fetch,
      }),
    );
  }

  test('answers when it is said to be there, and is gone when it is stopped', async () => {
    const jaeger = await start();
    expect(await probeJaeger(jaeger.address, PROBE)).toBeUndefined();
    const pid = jaeger.pid() ?? 0;
    expect(pid).toBeGreaterThan(0);
    await jaeger.stop();
    expect(await survivors([pid], 30_000)).toEqual([]);
    expect(await probeJaeger(jaeger.address, PROBE)).toContain('nothing answers');
  });

  test('comes back where it was: links that were printed go on to work', async () => {
    const jaeger = await start();
    const pid = jaeger.pid() ?? 0;
    process.kill(pid, 'SIGKILL');
    expect(await survivors([pid], 30_000)).toEqual([]);
    await expect.poll(() => probeJaeger(jaeger.address, PROBE)).toBeUndefined();
    expect(jaeger.pid()).not.toBe(pid);
    await jaeger.stop();
  });

  test('that cannot start is one line, and nothing of it stays', async () => {
    const outcome = await startJaeger({
      program: '/bin/false',
      runPath: `${folder.path}/run`,
      lifeline: await findLifeline(),
      fetch,
    });
    expect(outcome).toMatchObject({ ok: false, code: 'NOT_READY' });
  });
});
