import { execFileSync } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { spiffeId } from '#identity/spiffe-id.ts';
import { loadBundle } from '#policy/bundle.ts';
import { POLICY_CODES } from '#policy/codes.ts';
import { compilePolicy } from '#policy/compile.ts';
import type { DecisionInput, Policy } from '#policy/decision.ts';
import { openPolicy } from '#policy/engine.ts';
import { opa } from '#test/tools.ts';
import { allowedCases, swarmData } from './cases.ts';

const FOLDER = new URL('../../policy/', import.meta.url).pathname;
let policy: Policy;
let scratch: string;

beforeAll(async () => {
  scratch = mkdtempSync(join(tmpdir(), 'swarmproof-test-policy-'));
  policy = await openPolicy({ bundle: loadBundle(FOLDER, undefined).bytes, data: swarmData });
});

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Every copy of `value` with exactly one key, at any depth, taken out. */
function* withOneMissing(value: unknown, path = ''): Generator<[string, unknown]> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return;
  for (const [key, inner] of Object.entries(value)) {
    const { [key]: _removed, ...rest } = value as Record<string, unknown>;
    yield [`${path}.${key}`, rest];
    for (const [where, changed] of withOneMissing(inner, `${path}.${key}`)) {
      yield [where, { ...value, [key]: changed }];
    }
  }
}

describe('every rule', () => {
  test.each(allowedCases.map((one) => [one.title, one] as const))(
    '%s is allowed',
    (_title, one) => {
      const decision = policy.decide(one.input);
      expect(decision).toMatchObject({ allow: true, revision: policy.revision });
    },
  );

  test.each(allowedCases.map((one) => [one.title, one] as const))(
    '%s is denied with any attribute that a rule reads missing',
    (_title, one) => {
      let denied = 0;
      for (const [path, input] of withOneMissing(one.input)) {
        const read = one.reads.some((attribute) => path === attribute);
        if (!read && !one.reads.some((attribute) => attribute.startsWith(`${path}.`))) {
          continue;
        }
        denied += 1;
        expect(policy.decide(input as DecisionInput), `without ${path}`).toMatchObject({
          allow: false,
        });
      }
      expect(denied).toBeGreaterThanOrEqual(one.reads.length);
    },
  );

  test.each(allowedCases.map((one) => [one.title, one] as const))(
    '%s is denied in its variations, for the reason given',
    (_title, one) => {
      for (const { change, reason } of one.denied) {
        const decision = policy.decide(change(structuredClone(one.input)));
        expect(decision.allow).toBe(false);
        expect(decision.reasons[0]).toBe(reason);
      }
    },
  );
});

describe('engine', () => {
  test('a question that is not even an object denies', () => {
    for (const input of [null, 1, 'x', [], {}]) {
      expect(policy.decide(input as unknown as DecisionInput).allow).toBe(false);
    }
  });

  test('a stranger has no NATS permissions, and a member has', () => {
    expect(policy.permissions(spiffeId('spiffe://city.example/agent/x/north/y'))).toBeUndefined();
    const sensor = policy.permissions(spiffeId('spiffe://city.example/agent/sensor/north/cam-1'));
    expect(sensor?.publish.allow).toContain('north.reading.sensor-cam-1');
  });

  test('every denial has a code, and every check of the bundle a file and line', () => {
    const { rules } = loadBundle(FOLDER, undefined).manifest;
    for (const check of Object.keys(POLICY_CODES)) {
      if (check === 'default_deny' || check === 'policy_error') continue;
      const rule = rules[check];
      expect(rule, check).toBeDefined();
      const line = readFileSync(join(FOLDER, '..', rule?.file ?? ''), 'utf8').split('\n');
      expect(line.slice((rule?.line ?? 0) - 1, (rule?.line ?? 0) + 4).join('\n')).toContain(check);
    }
    expect(Object.keys(rules).every((check) => check in POLICY_CODES)).toBe(true);
  });

  test('the revision changes with the data', async () => {
    const { bytes } = loadBundle(FOLDER, undefined);
    const other = await openPolicy({ bundle: bytes, data: { ...swarmData, trust_domain: 'x' } });
    expect(other.revision).not.toBe(policy.revision);
  });

  test('an opa process and the embedded engine give the same decisions', async ({ skip }) => {
    const program = await opa(skip);
    const inputs = allowedCases.flatMap((one) => [
      one.input,
      ...one.denied.map(({ change }) => change(structuredClone(one.input))),
    ]);
    writeFileSync(join(scratch, 'data.json'), JSON.stringify({ swarm: swarmData, inputs }));
    const query =
      '[d | some i in data.inputs; d := data.swarmproof.authz.decision with input as i]';
    const output = execFileSync(
      program,
      [
        'eval',
        '--format',
        'raw',
        '-d',
        join(FOLDER, 'rego'),
        '-d',
        join(scratch, 'data.json'),
        query,
      ],
      { encoding: 'utf8' },
    );
    const ours = inputs.map((input) => {
      const { allow, reasons } = policy.decide(input);
      return { allow, obligations: {}, reasons };
    });
    expect(JSON.parse(output)).toEqual(ours);
  });
});

test.for([
  ['the tests beside the rules pass', 'test'],
  ['the rules hold in strict mode', 'check', '--strict'],
  ['the rules are laid out as opa does it', 'fmt', '--fail', '--list'],
])('%s', async ([_title, ...words], { skip }) => {
  execFileSync(await opa(skip), [...words, join(FOLDER, 'rego')]);
});

describe('bundle', () => {
  const copy = (name: string): string => {
    const folder = join(scratch, name);
    cpSync(FOLDER, folder, { recursive: true });
    return folder;
  };

  test('the committed bundle is the one that the sources give', async ({ skip }) => {
    const program = await opa(skip);
    const folder = copy('rebuild');
    const before = readFileSync(join(folder, 'bundle.tar.gz'));
    compilePolicy(folder, program);
    expect(readFileSync(join(folder, 'bundle.tar.gz')).equals(before)).toBe(true);
    expect(readFileSync(join(folder, 'bundle.json'), 'utf8')).toBe(
      readFileSync(join(FOLDER, 'bundle.json'), 'utf8'),
    );
  });

  test('a changed source without opa is refused by name, and rebuilt with opa', async ({
    skip,
  }) => {
    const program = await opa(skip);
    const folder = copy('stale');
    const source = join(folder, 'rego', 'authz.rego');
    writeFileSync(source, `${readFileSync(source, 'utf8')}\n# changed\n`);
    expect(() => loadBundle(folder, undefined)).toThrow(/older than policy\/rego\/authz\.rego/);
    expect(loadBundle(folder, program).bytes.length).toBeGreaterThan(1000);
    expect(() => loadBundle(folder, undefined)).not.toThrow();
  });

  test('a bundle that was swapped is refused', () => {
    const folder = copy('swapped');
    writeFileSync(join(folder, 'bundle.tar.gz'), 'something else');
    expect(() => loadBundle(folder, undefined)).toThrow(/is not the bundle that/);
  });

  test('a policy that does not compile names file and line, and leaves the old bundle', async ({
    skip,
  }) => {
    const program = await opa(skip);
    const folder = copy('broken');
    const before = readFileSync(join(folder, 'bundle.tar.gz'));
    writeFileSync(join(folder, 'rego', 'extra.rego'), 'package extra\n\nallow if nonsense(\n');
    expect(() => compilePolicy(folder, program)).toThrow(/extra\.rego:\d+/);
    expect(readFileSync(join(folder, 'bundle.tar.gz')).equals(before)).toBe(true);
  });

  test('a built-in that the embedded engine lacks fails at build time', async ({ skip }) => {
    const program = await opa(skip);
    const folder = copy('builtin');
    writeFileSync(
      join(folder, 'rego', 'extra.rego'),
      'package extra\n\nnow := time.now_ns()\n\ncall := http.send({"method": "get", "url": "http://127.0.0.1"})\n',
    );
    expect(() => compilePolicy(folder, program)).toThrow(
      /undefined function (time\.now_ns|http\.send)/,
    );
  });
});
