import { afterEach, beforeEach, expect, test } from 'vitest';
import { denialOf, namedByAncestry, orderAfter } from '#cli/inject/arena/evidence.ts';
import { type Watch, watchSwarm } from '#cli/inject/arena/watch.ts';
import { encodeEntry, type LedgerEntry } from '#custody/ledger/entry.ts';
import { accept } from '#identity/outcome.ts';
import { type ControlServer, serveControl } from '#runtime/control/server.ts';
import { type City, createCity, DENIED } from './city.ts';
import { folder } from './support.ts';

/**
 * Each sender hands in its own records, so the ledger may hold an answer before the request and an
 * order before its finding. A watch has to find the same in whatever order they come.
 */
const TOKEN = 'a'.repeat(64);
let place: ReturnType<typeof folder>;
let server: ControlServer;
let watch: Watch;
let say: (entry: LedgerEntry) => void;
let city: City;
let chain: readonly LedgerEntry[];
let mark: string;

beforeEach(async () => {
  city = await createCity();
  const act = await city.act(await city.finding([await city.reading()]), 'valve.set', {
    delta_pct: 5,
  });
  await city.answer(act, DENIED, 'TOOL_NOT_ALLOWED');
  chain = city.ledger.list();
  const [reading] = chain;
  const payload = reading?.type === 'record' ? reading.payload : undefined;
  mark = JSON.parse(Buffer.from(payload ?? []).toString()).at;
  place = folder();
  const socketPath = `${place.path}/control.sock`;
  const served = await serveControl(socketPath, TOKEN, {
    follow: async (_args, part, signal) => {
      say = (entry) => part({ entry: Buffer.from(encodeEntry(entry)).toString('utf8') });
      part({ size: 0 });
      return new Promise((resolve) => signal.addEventListener('abort', () => resolve(accept({}))));
    },
  });
  if (!served.ok) throw new Error(served.detail);
  server = served.value;
  watch = await watchSwarm({ socketPath, token: TOKEN });
});
afterEach(async () => {
  watch.close();
  await server.close();
  place.remove();
});

const never = new AbortController().signal;

test.each([
  ['the order of what happened', (all: readonly LedgerEntry[]) => all],
  ['the reverse', (all: readonly LedgerEntry[]) => all.toReversed()],
  ['the denial first', (all: readonly LedgerEntry[]) => [...all.slice(-1), ...all.slice(0, -1)]],
])('the denial of an order and whom it began with, told in %s', async (_name, arranged) => {
  const denied = watch.first(denialOf(watch, 'valve.set'), never);
  const ordered = watch.first(orderAfter(watch, mark), never);
  for (const entry of arranged(chain)) say(entry);
  const { act, entry } = await denied;
  expect(entry.record.id).toBe(idOf(chain.at(-1)));
  expect((await ordered).entry.record.id).toBe(act.record.id);
  expect(namedByAncestry(watch.ancestry(act.record.id))?.id).toMatch(/\/agent\/sensor\//);
});

test('a denial of another tool is not it', async () => {
  const ended = new AbortController();
  let found = false;
  void watch.first(denialOf(watch, 'signal.set_plan'), ended.signal).then(() => {
    found = true;
  });
  const denied = watch.first(denialOf(watch, 'valve.set'), never);
  for (const entry of chain) say(entry);
  await denied;
  expect(found).toBe(false);
  ended.abort();
});

function idOf(entry: LedgerEntry | undefined): string | undefined {
  return entry !== undefined && 'record' in entry ? entry.record.id : undefined;
}
