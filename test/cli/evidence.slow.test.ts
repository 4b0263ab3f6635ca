import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CHECKOUT } from '#cli/wiring/checkout.ts';
import { TAMPERINGS } from '#custody/evidence/tamper.ts';
import { parseTrust } from '#custody/evidence/trust.ts';
import { verifyEvidence } from '#custody/evidence/verify.ts';
import { byHand, TOOLS_MISSING } from '#test/custody/evidence/by-hand.ts';
import { folder, lines, run, start } from './support.ts';

/** What a real swarm exports, judged after it is gone and its state with it. */
const place = folder();
const work = folder();
const at = (name: string): string => join(work.path, name);
const textOf = (name: string): string => readFileSync(at(name), 'utf8');
const custody = (...args: readonly string[]) => run(place.path, 'custody', ...args);
const verify = (name: string, ...args: readonly string[]) =>
  custody('verify', at(name), '--trust', at('trust.json'), ...args);

let audited: Awaited<ReturnType<typeof custody>>;

async function must(...args: readonly string[]): Promise<string> {
  const { code, out, err } = await custody(...args);
  expect([code, err], args.join(' ')).toEqual([0, '']);
  return out;
}

beforeAll(async () => {
  const swarm = start(place.path, ['up'], place.path);
  let told = '';
  const acted = Promise.withResolvers<void>();
  const hear = (data: Buffer): void => {
    told += data.toString();
    if (/\baction +action-1 .*(?:\n.*)*\baction +action-1 /.test(told)) acted.resolve();
  };
  swarm.stdout.on('data', hear);
  swarm.stderr.on('data', hear);
  swarm.once('close', () => acted.reject(new Error(`ended: ${told}`)));
  await acted.promise;
  await must('export', 'last', '-o', at('action.json'));
  await must('export', 'last', '--withhold', '-o', at('withheld.json'));
  await must('trust', '-o', at('trust.json'));
  // The first message of a sensor: the smallest file that there can be.
  const listed = JSON.parse(await must('list', '--json', '--limit', '200', '--kind', 'root'));
  await must('export', '-o', at('small.json'), '--', listed[0].id);
  await must('export', '--all', '-o', at('all.jsonl'));
  // What is judged must be older than this; the swarm has run for longer.
  audited = await custody('audit', '--settle', '10', '--full');
  swarm.kill('SIGINT');
  const [code] = await once(swarm, 'close');
  expect(code, told).toBe(0);
  copyFileSync(join(place.path, 'runs/default/traces.jsonl'), at('traces.jsonl'));
  place.remove();
}, 240_000);
afterAll(() => {
  place.remove();
  work.remove();
});

describe('what a real swarm exports', () => {
  test('is proven: the action with all that led to it, when it was witnessed, and its answer', async () => {
    const { code, out, err } = await verify('action.json');
    expect([code, err]).toEqual([0, '']);
    expect(out).toMatch(/^act: [\w.]+ .*genuine$/m);
    expect(out).toMatch(/^ +\/agent\/action\/\S+ {2}\S{8} {2}witnessed [\d:]+Z$/m);
    expect(out).toMatch(/answered\nresult: mcp done/);
    expect(out).toMatch(/^PROVEN +\d+ records: \d+ genuine$/m);
    expect(out.replace(/\s+/g, ' ')).toMatch(/2 of 3 witnesses, 1 attester, \d+ members/);
    for (const line of lines(out)) expect([...line].length, line).toBeLessThanOrEqual(80);
    expect((await verify('withheld.json')).code).toBe(0);
    expect((await verify('small.json')).code).toBe(0);
  });

  test('is proven as a whole, every entry of it', async () => {
    const { code, out } = await verify('all.jsonl', '--json');
    const verdict = JSON.parse(out);
    expect(code).toBe(0);
    expect(verdict.entries.from).toBe(0);
    expect(verdict.entries.count).toBe(verdict.entries.to);
    expect(verdict.counts.genuine).toBeGreaterThan(100);
    expect(verdict.beside.statement).toBeGreaterThan(10);
  });

  test('is proven where there is nothing but the two files: no network, no state, no variables', () => {
    const empty = folder();
    try {
      copyFileSync(at('action.json'), join(empty.path, 'e'));
      copyFileSync(at('trust.json'), join(empty.path, 't'));
      const alone = spawnSync('unshare', ['-rn', 'true']).status === 0 ? ['unshare', '-rn'] : [];
      const [program = '', ...args] = [
        ...alone,
        process.execPath,
        '--disable-warning=ExperimentalWarning',
        join(CHECKOUT, 'cli/main.ts'),
        ...['custody', 'verify', 'e', '--trust', 't'],
      ];
      const ended = spawnSync(program, args, { cwd: empty.path, env: {}, encoding: 'utf8' });
      expect([ended.status, ended.stderr]).toEqual([0, '']);
      expect(ended.stdout).toMatch(/^PROVEN/m);
      expect(readdirSync(empty.path).sort()).toEqual(['e', 't']);
    } finally {
      empty.remove();
    }
  });

  test.skipIf(TOOLS_MISSING)('is verified by openssl, jq and jose, without our code', () => {
    const said = byHand(textOf('action.json'), textOf('trust.json'));
    for (const line of ['id: OK', 'leaf.pem: OK', 'Verified OK', 'payload: OK', 'inclusion: OK']) {
      expect(said).toContain(line);
    }
    expect(said.filter((line) => line.startsWith('witness: '))).not.toHaveLength(0);
    expect(said.find((line) => line.startsWith('sender: '))).toMatch(/\/agent\/action\//);
    expect(said.find((line) => line.startsWith('jose: '))).toMatch(/^jose: custody.*jwt/);
  });
});

describe('a real file that somebody tampered with', () => {
  test.each(Object.keys(TAMPERINGS))('is caught and named: %s', async (how) => {
    for (const [file, made] of [
      ['action.json', `${how}.json`],
      ['withheld.json', `${how}-withheld.json`],
    ] as const) {
      await must('tamper', at(file), '--how', how, '-o', at(made));
      const { code, out } = await verify(made, '--json');
      const verdict = JSON.parse(out);
      const missing = how === 'drop' || how === 'truncate';
      expect([how, code, verdict.overall]).toEqual(
        missing ? [how, 3, 'unverifiable'] : [how, 1, 'forged'],
      );
      expect(verdict.firstBad ?? verdict.faults[0].id).toBeDefined();
      if (!missing) continue;
      const what = how === 'drop' ? 'EVIDENCE_RECORD_MISSING' : 'EVIDENCE_ACTION_MISSING';
      expect(verdict.faults[0].code).toBe(what);
    }
  });

  test('any byte that is flipped changes the verdict, or is one of those that nothing signs', () => {
    const trust = parseTrust(textOf('trust.json'));
    if (!trust.ok) throw new Error(trust.detail);
    const text = textOf('small.json');
    const bytes = Buffer.from(text, 'utf8');
    expect(verifyEvidence(bytes, trust.value).overall).toBe('proven');
    const unchanged: number[] = [];
    for (let place = 0; place < bytes.length; place++) {
      bytes[place] = (bytes[place] ?? 0) ^ 1;
      if (verifyEvidence(bytes, trust.value).overall === 'proven') unchanged.push(place);
      bytes[place] = (bytes[place] ?? 0) ^ 1;
    }
    // Names and ids of signature lines: with another one the line is a stranger's. Three witnesses
    // cosign, of which two are asked for.
    const free = new Set<number>();
    for (const [line, name = ''] of text.matchAll(/— (\S+\/witness-\d [\w+/]{6})/g)) {
      const begin = Buffer.byteLength(text.slice(0, text.indexOf(line) + 2));
      for (let place = 0; place < name.length; place++) free.add(begin + place);
    }
    const others = unchanged.filter((place) => !free.has(place));
    expect(others.map((place) => text.slice(place - 20, place + 20))).toEqual([]);
  }, 600_000);
});

describe('the audit of a real run', () => {
  test('is clean, while the swarm runs', () => {
    expect([audited.code, audited.err]).toEqual([0, '']);
    expect(audited.out).toMatch(/^CLEAN +\d+ entries, \d+ records$/m);
    expect(audited.out).toMatch(/^traces +\d{3,} spans$/m);
  });

  test('is clean from its files, and finds what is taken out of either', async () => {
    // A machine that is quick exports all of it within the minute that is not judged by default.
    const auditOf = (ledger: string, traces: string) => {
      const files = ['--ledger', at(ledger), '--trust', at('trust.json'), '--traces', at(traces)];
      return custody('audit', ...files, '--settle', '5');
    };
    const whole = await auditOf('all.jsonl', 'traces.jsonl');
    expect([whole.code, whole.err]).toEqual([0, '']);
    // Without what any process told for a while.
    const told = textOf('traces.jsonl').trimEnd().split('\n');
    const half = told.toSpliced(Math.floor(told.length / 4), Math.floor(told.length / 4));
    writeFileSync(at('half.jsonl'), `${half.join('\n')}\n`);
    const unspoken = await auditOf('all.jsonl', 'half.jsonl');
    expect(unspoken.code).toBe(1);
    expect(unspoken.out).toContain('AUDIT_SPAN_MISSING');
    // Without one record of a sensor in the middle.
    const entries = textOf('all.jsonl').trimEnd().split('\n');
    const middle = entries.findIndex(
      (line, index) => index > entries.length / 3 && /"by":"[^"]*\/sensor\//.test(line),
    );
    writeFileSync(at('hole.jsonl'), `${entries.toSpliced(middle, 1).join('\n')}\n`);
    const hole = await auditOf('hole.jsonl', 'traces.jsonl');
    expect(hole.code).toBe(1);
    for (const code of ['EVIDENCE_GAP', 'AUDIT_SEQ_GAP', 'AUDIT_RSQ_GAP', 'AUDIT_RECORD_MISSING']) {
      expect(hole.out).toContain(code);
    }
  });
});
