import { chmod, stat } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { accept, refuse } from '#identity/outcome.ts';
import { askControl, type ControlAddress, findControl } from '#runtime/control/client.ts';
import { MAX_REQUEST_BYTES } from '#runtime/control/protocol.ts';
import { type ControlServer, type ControlVerb, serveControl } from '#runtime/control/server.ts';
import { openRunFolder, type RunFolder } from '#runtime/run-folder.ts';
import { type Bench, createBench, nextMessage, tempFolder, value } from '../support.ts';

let run: RunFolder;
let server: ControlServer;
let remove: () => Promise<void>;
let address: ControlAddress;
let calls: unknown[];
let aborted: PromiseWithResolvers<void>;

const verbs: Record<string, ControlVerb> = {
  status: async (args) => {
    calls.push(args);
    return accept({ state: 'running' });
  },
  'ledger tail': async (_args, part, signal) => {
    part(1);
    part(2);
    await new Promise((resolve) => signal.addEventListener('abort', resolve));
    aborted.resolve();
    return accept(undefined);
  },
  count: async (_args, part) => {
    for (const number of [1, 2, 3]) part(number);
    return accept('done');
  },
  refuse: async () => refuse('NO_SUCH_RECORD', 'there is no such record'),
  fail: async () => {
    throw new Error('a bug');
  },
};

beforeEach(async () => {
  const folder = await tempFolder();
  remove = folder.remove;
  calls = [];
  aborted = Promise.withResolvers();
  run = value(
    await openRunFolder({ path: join(folder.path, 'run'), id: 'run', tempDir: folder.path }),
  );
  server = value(await serveControl(run.controlSocket, run.token, verbs));
  address = value(await findControl(run.path));
});
afterEach(async () => {
  await server.close();
  await run.close();
  await remove();
});

describe('the control socket', () => {
  test('answers who holds the token', async () => {
    expect(await askControl(address, 'status', { all: true })).toEqual(
      accept({ state: 'running' }),
    );
    expect(calls).toEqual([{ all: true }]);
    expect((await stat(run.controlSocket)).mode & 0o777).toBe(0o600);
  });

  test.each(['', '0'.repeat(64), 'x'])(
    'tells who comes with token "%s" nothing, and does nothing',
    async (token) => {
      const outcome = await askControl({ ...address, token }, 'status');
      expect(outcome).toEqual(refuse('CONTROL_DENIED', 'the control token is wrong'));
      // Not even which verbs there are.
      expect(await askControl({ ...address, token }, 'nonsense')).toEqual(outcome);
      expect(calls).toEqual([]);
    },
  );

  test('streams what a verb tells bit by bit', async () => {
    const parts: unknown[] = [];
    expect(await askControl(address, 'count', {}, (part) => parts.push(part))).toEqual(
      accept('done'),
    );
    expect(parts).toEqual([1, 2, 3]);
  });

  test('ends a tail on both sides when the caller leaves', async () => {
    const leave = new AbortController();
    const parts: unknown[] = [];
    await askControl(
      address,
      'ledger tail',
      {},
      (part) => {
        parts.push(part);
        if (parts.length === 2) leave.abort();
      },
      leave.signal,
    );
    await aborted.promise;
    expect(parts).toEqual([1, 2]);
  });

  test('passes on a refusal, names unknown verbs, and survives a verb that throws', async () => {
    expect(await askControl(address, 'refuse')).toMatchObject({
      ok: false,
      code: 'NO_SUCH_RECORD',
    });
    expect(await askControl(address, 'statsu')).toMatchObject({
      ok: false,
      code: 'CONTROL_VERB_UNKNOWN',
    });
    expect(await askControl(address, 'constructor')).toMatchObject({
      ok: false,
      code: 'CONTROL_VERB_UNKNOWN',
    });
    expect(await askControl(address, 'fail')).toMatchObject({ ok: false, code: 'CONTROL_FAILED' });
    expect(await askControl(address, 'status')).toMatchObject({ ok: true });
  });

  test.each([
    ['no JSON', 'hello'],
    ['no object', '[1]'],
    ['a key too many', `{"token":"","verb":"status","args":{},"more":1}`],
    ['no verb', '{"token":""}'],
    ['bytes that are not UTF-8', Buffer.from([0xff, 0xfe])],
    ['a line without end', 'x'.repeat(MAX_REQUEST_BYTES + 1)],
  ])('refuses or cuts off %s, and serves the next', async (_what, line) => {
    const socket = connect(run.controlSocket);
    socket.on('error', () => {});
    socket.write(line);
    socket.write('\n');
    let answer = '';
    socket.on('data', (chunk: Buffer) => {
      answer += chunk;
    });
    // Not `once`: who is cut off in the middle of a line may be told so by an error first.
    await new Promise((resolve) => socket.once('close', resolve));
    if (answer !== '')
      expect(JSON.parse(answer)).toMatchObject({ type: 'error', code: 'CONTROL_MESSAGE_INVALID' });
    expect(calls).toEqual([]);
    expect(await askControl(address, 'status')).toMatchObject({ ok: true });
  });

  test('a request that would be too large is not sent', async () => {
    const outcome = await askControl(address, 'status', { text: 'x'.repeat(MAX_REQUEST_BYTES) });
    expect(outcome).toMatchObject({ ok: false, code: 'CONTROL_MESSAGE_TOO_LARGE' });
  });

  test('after the swarm has stopped a caller learns that none runs', async () => {
    await server.close();
    expect(await askControl(address, 'status')).toMatchObject({
      ok: false,
      code: 'CONTROL_UNREACHABLE',
    });
    await run.close();
    expect(await findControl(run.path)).toMatchObject({ ok: false, code: 'CONTROL_UNREACHABLE' });
  });

  test('of another user is refused as such', async ({ skip }) => {
    skip(process.getuid?.() === 0, 'root may read every file');
    await chmod(run.tokenFile, 0);
    expect(await findControl(run.path)).toMatchObject({ ok: false, code: 'CONTROL_DENIED' });
  });
});

describe('an agent that dials the control socket', () => {
  let bench: Bench;
  beforeEach(async () => {
    bench = await createBench();
  });
  afterEach(() => bench.clear());

  const dial = async (line: string): Promise<unknown> => {
    const call = { path: run.controlSocket, line };
    const running = await bench.run({ task: 'dial', dial: call });
    return JSON.parse(String((await nextMessage(running, 'status')).status.answer));
  };

  test('cannot read the token, and gets nothing without it; with it, it would', async () => {
    const running = await bench.run({ task: 'probe', read: [run.tokenFile] });
    const { status } = await nextMessage(running, 'status');
    expect(Object(status.attempts)[`read ${run.tokenFile}`]).toBe('ERR_ACCESS_DENIED');
    const request = { token: '', verb: 'status', args: {} };
    expect(await dial(JSON.stringify(request))).toMatchObject({
      type: 'error',
      code: 'CONTROL_DENIED',
    });
    expect(calls).toEqual([]);
    expect(await dial(JSON.stringify({ ...request, token: run.token }))).toMatchObject({
      type: 'end',
    });
  });
});
