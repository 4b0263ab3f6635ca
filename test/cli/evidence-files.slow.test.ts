import { execFile, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  copyFileSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { CHECKOUT } from '#cli/wiring/checkout.ts';
import type { SignedRecord } from '#custody/record.ts';
import { ALLOWED, serveCity } from './city.ts';
import { CONTROLS, type Ended, folder, lines, run, start } from './support.ts';
import { createWitnessedCity, type WitnessedCity } from './witnessed-city.ts';

const ESC = '\u001b';
const place = folder();
const work = folder();
const at = (name: string): string => join(work.path, name);
let city: WitnessedCity;
let served: { close(): Promise<void> };
let done: SignedRecord;
let unseen: SignedRecord;
let exported: Ended;
let pinned: Ended;

const custody = (...args: readonly string[]) => run(place.path, 'custody', ...args);

beforeAll(async () => {
  city = await createWitnessedCity();
  const read = await city.reading({ note: `${ESC}[2J PROVEN` });
  const said = await city.chat(read, 'slow');
  const found = await city.finding([read, said]);
  done = await city.act(found, 'signal.set_plan', { plan: 'B' });
  await city.answer(done, ALLOWED);
  city.witness();
  unseen = await city.finding([read, said], 'again');
  served = await serveCity(city, place.path, city.ledger, { evidence: city.evidence });
  exported = await custody('export', 'last', '-o', at('action.json'));
  pinned = await custody('trust', '-o', at('trust.json'));
});
afterAll(async () => {
  await served.close();
  place.remove();
  work.remove();
});

describe('custody export', () => {
  test('writes what is proven elsewhere, by the trust file of the same swarm', async () => {
    expect([exported.code, exported.err]).toEqual([0, '']);
    expect(exported.out).toContain(`${done.id.slice(0, 8)} with 6 records and 5 statements`);
    expect([pinned.code, pinned.err]).toEqual([0, '']);
    const { code, out, err } = await custody(
      'verify',
      at('action.json'),
      '--trust',
      at('trust.json'),
    );
    expect([code, err]).toEqual([0, '']);
    expect(lines(out)[0]).toMatch(/^act: signal\.set_plan plan=B +0:00 genuine$/);
    expect(lines(out)[1]).toMatch(
      /^ {2}\/agent\/action\/north\/action-1 {2}\S{8} {2}witnessed \d\d:\d\d:\d\dZ$/,
    );
    expect(out).toMatch(/answered\nresult: mcp done +0:00 genuine/);
    expect(out).toContain('PROVEN        6 records: 6 genuine');
    expect(out).toContain('beside them   5 statements');
    expect(out).toMatch(/witnessed {5}\d{4}-\d\d-\d\dT[\d:]+Z, a ledger of 11 entries/);
    expect(out).not.toMatch(CONTROLS);
    for (const line of lines(out)) expect([...line].length, line).toBeLessThanOrEqual(80);
  });

  test('does not replace a file without --force, and leaves nothing when it fails', async () => {
    writeFileSync(at('mine'), 'precious');
    const refused = await custody('export', 'last', '-o', at('mine'));
    expect([refused.code, refused.out]).toEqual([1, '']);
    expect(lines(refused.err)).toEqual([
      `swarmproof: ${at('mine')}: there is such a file; choose another name, or replace it with --force`,
    ]);
    expect(readFileSync(at('mine'), 'utf8')).toBe('precious');
    expect((await custody('export', 'nosuch', '-o', at('mine'), '--force')).code).toBe(1);
    expect(readFileSync(at('mine'), 'utf8')).toBe('precious');
    symlinkSync(at('mine'), at('link'));
    expect((await custody('export', 'last', '-o', at('link'), '--force')).code).toBe(0);
    expect(readFileSync(at('mine'), 'utf8')).toContain('custody-evidence');
    expect(statSync(at('mine')).mode & 0o777).toBe(0o600);
    expect(readdirSync(work.path).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  test.each([
    ['a folder', () => work.path, /is a folder: name a file in it/],
    ['a folder that is not there', () => at('nowhere/file'), /the folder does not exist/],
    ['below a file', () => at('plain/file'), /is below something that is not a folder/],
    ['a full disk', () => '/dev/full', /the disk is full: nothing was written/],
    ['where nobody may write', () => '/sys/evidence', /may not be written/],
    ['a name that is too long', () => at('n'.repeat(300)), /has too long a name/],
  ])('%s as its place: one line says why', async (_what, path, why) => {
    writeFileSync(at('plain'), '');
    const { code, out, err } = await custody('export', 'last', '-o', path());
    expect([code, out]).toEqual([1, '']);
    expect(lines(err)).toHaveLength(1);
    expect(err).toMatch(why);
  });

  test('what no witness has seen yet is written, and said to be unverifiable', async () => {
    // An id stands after two dashes: it may begin with -o.
    const how = ['-o', at('early.json'), '--wait', '0'];
    const { code, out, err } = await custody('export', ...how, '--', unseen.id);
    expect(code).toBe(3);
    expect(out).toContain('with 4 records');
    expect(lines(err)).toEqual([
      'not witnessed yet: 12 entries are needed, 11 are cosigned; export it again',
    ]);
    const judged = await custody('verify', at('early.json'), '--trust', at('trust.json'));
    expect(judged.code).toBe(3);
    expect(judged.out).toContain('EVIDENCE_CHECKPOINT_MISSING');
  });

  test('ended in the middle, leaves nothing behind', async () => {
    const late = await city.reading();
    const to = ['-o', at('ended.json'), '--', late.id];
    const exporting = start(place.path, ['custody', 'export', ...to]);
    const hidden = () => readdirSync(work.path).filter((name) => name.includes('ended.json'));
    await vi.waitUntil(() => hidden().length > 0, { timeout: 30_000 });
    exporting.kill('SIGINT');
    const [code, signal] = await once(exporting, 'close');
    expect([code, signal, hidden()]).toEqual([null, 'SIGINT', []]);
  });

  test('waits for the witnesses of the action', async () => {
    const late = await city.reading();
    const exporting = custody('export', '-o', at('late.json'), '--', late.id);
    setTimeout(() => city.witness(), 1500);
    expect((await exporting).code).toBe(0);
    expect((await custody('verify', at('late.json'), '--trust', at('trust.json'))).code).toBe(0);
  });

  test('--withhold leaves out what records said, and proves them all the same', async () => {
    expect(
      (await custody('export', '--withhold', '-o', at('withheld.json'), '--', done.id)).code,
    ).toBe(0);
    expect(readFileSync(at('withheld.json'), 'utf8')).not.toMatch(/"payload"|"salt"/);
    const { code, out } = await custody('verify', at('withheld.json'), '--trust', at('trust.json'));
    expect(code).toBe(0);
    expect(out).toContain('PROVEN        6 records: 6 withheld');
    expect(out).toMatch(/act: payload withheld +0:00 withheld/);
  });

  test('--all writes the whole witnessed ledger in lines, in pages', async () => {
    city.witness();
    const { code, out } = await custody('export', '--all', '-o', at('all.jsonl'));
    expect(code).toBe(0);
    const size = city.ledger.size();
    expect(out).toContain(`${size} entries`);
    const judged = await custody('verify', at('all.jsonl'), '--trust', at('trust.json'));
    expect([judged.code, judged.err]).toEqual([0, '']);
    expect(judged.out).toContain(`of the ledger ${size} entries, from 0 to ${size - 1}`);
    // What goes out by - can come in by -.
    const main = join(CHECKOUT, 'cli/main.ts');
    const node = `'${process.execPath}' '${main}'`;
    const sh = `${node} --state-dir '${place.path}' custody export --all -o - | ${node} custody verify - --trust '${at('trust.json')}'`;
    // The swarm is served from this very process: it must not be blocked.
    const piped = await promisify(execFile)('bash', ['-c', sh]);
    expect(piped.stdout).toContain('PROVEN');
  });

  test.each([
    [['export', '-o', 'x'], /name an action, or 'last', or export everything with --all/],
    [['export', 'last', '--all', '-o', 'x'], /name an action/],
    [['export', 'last', '-o', 'x', '--wait', 'long'], /seconds, from 0 to 60/],
    [['tamper', 'x', '--how', 'magic', '-o', 'y'], /Allowed choices are edit, drop/],
  ])('%s: wrong usage is exit code 2', async (args, why) => {
    const { code, err } = await custody(...args);
    expect(code).toBe(2);
    expect(err).toMatch(why);
  });
});

describe('custody trust', () => {
  test('shows fingerprints and keys, and that it must go another way than the evidence', async () => {
    const { code, out, err } = await custody('trust');
    expect([code, err]).toEqual([0, '']);
    const [root] = city.swarm.ca.bundle.authorities;
    expect(out.replace(/\n {2}/g, '')).toContain(root?.fingerprint256 ?? 'none');
    expect(out).toContain('witnesses, of which 2 must agree');
    expect(out).toMatch(/^ {2}city\.example\/w1\+[0-9a-f]{8}\+\S+$/m);
    expect(out).toContain('by another way than the evidence');
    expect((await custody('trust', '--json')).out).toBe(city.trust);
    for (const line of lines(out)) expect([...line].length, line).toBeLessThanOrEqual(100);
  });
});

describe('custody tamper', () => {
  test.each(['edit', 'drop'])('%s is caught, and the file itself stays as it is', async (how) => {
    const before = readFileSync(at('action.json'), 'utf8');
    const made = await custody('tamper', at('action.json'), '--how', how, '-o', at(`${how}.json`));
    expect([made.code, made.err]).toEqual([0, '']);
    expect(readFileSync(at('action.json'), 'utf8')).toBe(before);
    const { code, out } = await custody('verify', at(`${how}.json`), '--trust', at('trust.json'));
    expect([1, 3]).toContain(code);
    expect(out).toMatch(/^(FORGED|UNVERIFIABLE) /m);
    expect(out).toMatch(/first bad hop +record|fault +[A-Z_]+/);
    expect(
      (await custody('tamper', at('action.json'), '--how', how, '-o', at('action.json'))).code,
    ).toBe(1);
  });
});

describe('custody verify', () => {
  /** Nothing but the file: another folder, no state, no variables, and no network where that can be. */
  function verifyAlone(...args: readonly string[]) {
    const empty = folder();
    try {
      copyFileSync(at('action.json'), join(empty.path, 'evidence'));
      copyFileSync(at('trust.json'), join(empty.path, 'pins'));
      const node = [process.execPath, '--disable-warning=ExperimentalWarning'];
      const command = [...node, join(CHECKOUT, 'cli/main.ts'), 'custody', 'verify', ...args];
      const alone = spawnSync('unshare', ['-rn', 'true']).status === 0 ? ['unshare', '-rn'] : [];
      const [program = '', ...rest] = [...alone, ...command];
      const ended = spawnSync(program, rest, { cwd: empty.path, env: {}, encoding: 'utf8' });
      return { ...ended, left: readdirSync(empty.path).sort() };
    } finally {
      empty.remove();
    }
  }

  test('needs no network, no swarm, no state and no environment, and leaves nothing', () => {
    const { status, stdout, stderr, left } = verifyAlone('evidence', '--trust', 'pins');
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).toContain('PROVEN        6 records: 6 genuine');
    expect(left).toEqual(['evidence', 'pins']);
  });

  test('without a trust file says whom to pin and where that is had, and proves nothing', () => {
    const { status, stdout } = verifyAlone('evidence');
    expect(status).toBe(3);
    expect(stdout).toContain('UNVERIFIABLE  6 records: 6 unverifiable');
    expect(stdout).toContain('to be pinned  the key of the ledger city.example/ledger');
    expect(stdout).toContain('swarmproof custody trust -o trust.json');
    for (const line of lines(stdout)) expect([...line].length, line).toBeLessThanOrEqual(80);
  });

  test('--json says the same for programs', async () => {
    const { code, out } = await custody(
      'verify',
      at('action.json'),
      '--trust',
      at('trust.json'),
      '--json',
    );
    const said = JSON.parse(out);
    expect(code).toBe(0);
    expect(said).toMatchObject({ overall: 'proven', exitCode: 0, action: done.id, faults: [] });
    expect(said.hops).toHaveLength(5);
    expect(said.hops[0].witnessed).toMatch(/Z$/);
    expect(said.beyond).toHaveLength(1);
  });

  test.each<[string, (text: string) => string, number]>([
    ['nothing', () => '', 4],
    ['half a file', (text) => text.slice(0, text.length / 2), 4],
    ['deep nesting', () => `{"entries":${'['.repeat(1_000_000)}`, 4],
    ['one endless line', () => 'a'.repeat(17_000_000), 4],
  ])('%s is malformed, and no exception', async (_what, change, exit) => {
    writeFileSync(at('odd'), change(readFileSync(at('action.json'), 'utf8')));
    const { code, out, err } = await custody('verify', at('odd'), '--trust', at('trust.json'));
    expect([code, err]).toEqual([exit, '']);
    expect(out).toMatch(/^MALFORMED/);
    expect(out.length).toBeLessThan(2000);
  });

  test.each([
    ['no such file', () => [at('nothing')], /there is no such file/],
    ['a folder', () => [work.path], /is a folder/],
    ['no trust file', () => [at('action.json'), '--trust', at('nothing')], /there is no such file/],
    [
      'evidence as trust',
      () => [at('action.json'), '--trust', at('action.json')],
      /is no trust file: the file: a member is not known/,
    ],
  ])('%s: one line, and an exit code that is no verdict', async (_what, args, why) => {
    const { code, out, err } = await custody('verify', ...args());
    expect([code, out]).toEqual([2, '']);
    expect(lines(err)).toHaveLength(1);
    expect(err).toMatch(why);
  });

  test('every exit code is told by --help', async () => {
    const { out } = await custody('verify', '--help');
    expect(out).toMatch(/0 proven.*1 forged; 3 unverifiable,\s.*4 malformed/s);
  });
});
