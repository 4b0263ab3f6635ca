import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { folder, images, survivors } from '#test/swarm/city.ts';
import { descendants, swarmproof } from '#test/swarm/cli.ts';
import { CONTROLS } from './support.ts';

const place = folder();
const runs = join(place.path, 'runs');
const COLUMNS = 80;
/** Where a sentence of the kernel or of a tool may be longer than the screen. */
const MAY_BE_LONG = /^one uid for all processes|^Kept |^image /;

beforeAll(() => images(), 120_000);
afterAll(() => place.remove());

describe('the demo', { timeout: 300_000 }, () => {
  test('shows what it claims at 80 columns, without colour, and keeps only its traces and the evidence', async () => {
    const demo = swarmproof('--state-dir', place.path, 'demo');
    const { code, output } = await demo.ended;
    expect(code, output).toBe(0);
    expect(output).not.toMatch(CONTROLS);
    const wide = output.split('\n').filter((line) => [...line].length > COLUMNS);
    expect(wide.filter((line) => !MAY_BE_LONG.test(line))).toEqual([]);
    for (const line of [
      /^Swarmproof: smart city {4}14 processes, each with its own SVID {4}ready in [\d.]+ s$/m,
      /^\d:\d\d refusal {2}a stranger {2}.* NOT_LAUNCHED$/m,
      /^\d:\d\d reading {2}cam-1 /m,
      /^\d:\d\d anomaly {2}analyzer-1 {2}[\d.]+ robust deviations below the median of the last 144$/m,
      /^\d:\d\d finding {2}analyzer-1 {2}runbook slow-traffic, model city-small$/m,
      /^\d:\d\d action {3}action-1 {4}signal.set_plan plan=B, city works now: north B$/m,
      /^\d:\d\d renewal {2}cam-1 {7}serial \w{4} to \w{4}, 0 of \d+ readings lost$/m,
      /^ {2}signal.set_plan {2}\/agent\/action\/north\/action-1 .*\d:\d\d genuine$/m,
      /^ {4}├ chat .*\/service\/llm .*genuine, unsigned$/m,
      /^ {4}└ reading .*\/agent\/sensor\/north\/cam-1 .*genuine$/m,
      /^ {2}as exported {6}PROVEN {2}\d+ records, \d+ statements, 2 of 3 witnesses$/m,
      /^ {2}one bit changed {2}FORGED {2}reading of \/agent\/sensor\/north\/cam-1$/m,
      /^agent-impersonation {2}SUCCEEDED {4}STOPPED by broker permissions, PUBLISH_DENIED$/m,
      /^prompt-injection {5}SUCCEEDED {4}STOPPED by policy, TOOL_NOT_ALLOWED$/m,
      /^Records \d+, missing 0 {3}Renewals \d+ {3}Refusals \d+, all expected$/m,
      /^PASS {2}all 10 claims observed, everything stopped, \d+ s$/m,
    ]) {
      expect(output).toMatch(line);
    }
    expect(output.match(/here cam-3 named, correct; \d+ ms/g)).toHaveLength(2);
    expect(readdirSync(runs)).toEqual(['demo']);
    const files = ['evidence.json', 'traces.jsonl', 'trust.json'];
    expect(readdirSync(join(runs, 'demo')).sort()).toEqual(files);
    const [first = ''] = readFileSync(join(runs, 'demo', 'traces.jsonl'), 'utf8').split('\n');
    expect(JSON.parse(first)).toHaveProperty('resourceSpans');
    const [file = '', , trust = ''] = files.map((name) => join(runs, 'demo', name));
    const again = swarmproof('custody', 'verify', file, '--trust', trust);
    expect((await again.ended).output).toMatch(/^PROVEN /m);
  });

  test.skipIf(process.platform !== 'linux')(
    'ended by Ctrl-C while it is attacked puts everything back and leaves nothing',
    async () => {
      const demo = swarmproof('--state-dir', place.path, 'demo');
      await demo.said(' action ');
      const own = descendants(demo.child.pid ?? 0);
      // Both swarms: this one and the one with shared keys.
      expect(own.length).toBeGreaterThan(14);
      demo.child.kill('SIGINT');
      const { code, output } = await demo.ended;
      expect(code, output).toBe(1);
      expect(output).toContain('interrupted');
      expect(output).not.toContain('PASS');
      expect(await survivors(own, 15_000)).toEqual([]);
      expect(readdirSync(runs).filter((name) => name !== 'demo')).toEqual([]);
    },
  );
});
