import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/**
 * Built-ins that the embedded engine evaluates exactly as an OPA server does. A rule that uses any
 * other fails at build time, with file and line, and not at three in the morning.
 */
const BUILTINS = new Set(
  `and array.concat array.slice assign ceil concat contains count div endswith eq equal floor
  format_int glob.match gt gte indexof internal.member_2 internal.member_3 intersection is_array
  is_boolean is_null is_number is_object is_set is_string lower lt lte max min minus mul neq
  numbers.range object.filter object.get object.remove object.union or plus product regex.is_valid
  regex.match rem replace round set_diff sort split startswith substring sum to_number trim
  trim_prefix trim_space trim_suffix type_name union upper walk`.split(/\s+/),
);

/** What `policy/bundle.json` says of the committed bundle. */
export interface BundleManifest {
  /** SHA-256 (hex) of each source file. */
  readonly sources: Readonly<Record<string, string>>;
  /** SHA-256 (hex) of the bundle. */
  readonly bundle: string;
  readonly opa: string;
  /** Check → where its rule stands, and what it says. */
  readonly rules: Readonly<Record<string, RuleLocation>>;
}

export interface RuleLocation {
  readonly file: string;
  readonly line: number;
  readonly title: string;
}

export function sha256Hex(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** SHA-256 of each policy source in `folder/rego`, tests left out; keys sorted. */
export function sourceDigests(folder: string): Record<string, string> {
  const names = readdirSync(join(folder, 'rego'))
    .filter((name) => name.endsWith('.rego') && !name.endsWith('_test.rego'))
    .sort();
  return Object.fromEntries(
    names.map((name) => [name, sha256Hex(readFileSync(join(folder, 'rego', name)))]),
  );
}

/**
 * Compiles `folder/rego` into `folder/bundle.tar.gz` and `folder/bundle.json` with the given opa.
 * Both are replaced only when every step has passed.
 * @throws Error with opa's message (file and line) when a policy does not compile.
 */
export function compilePolicy(folder: string, opa: string): BundleManifest {
  const scratch = mkdtempSync(join(tmpdir(), 'swarmproof-policy-'));
  const run = (...args: string[]): string => {
    try {
      return execFileSync(opa, args, { cwd: folder, encoding: 'utf8', stdio: 'pipe' });
    } catch (error) {
      const stderr = (error as { stderr?: string }).stderr ?? '';
      throw new Error(`policy does not compile: ${stderr.trim() || String(error)}`);
    }
  };
  try {
    const capabilities = JSON.parse(run('capabilities', '--current')) as {
      builtins: { name: string }[];
    };
    capabilities.builtins = capabilities.builtins.filter(({ name }) => BUILTINS.has(name));
    const capabilitiesFile = join(scratch, 'capabilities.json');
    writeFileSync(capabilitiesFile, JSON.stringify(capabilities));
    const output = join(scratch, 'bundle.tar.gz');
    run('check', '--strict', '--capabilities', capabilitiesFile, '--ignore', '*_test.rego', 'rego');
    run(
      ...['build', '--target', 'wasm', '--capabilities', capabilitiesFile],
      ...['--ignore', '*_test.rego', '--output', output, 'rego'],
    );
    const manifest: BundleManifest = {
      sources: sourceDigests(folder),
      bundle: sha256Hex(readFileSync(output)),
      opa: /Version: (\S+)/.exec(run('version'))?.[1] ?? 'unknown',
      rules: ruleLocations(run('inspect', '--annotations', '--format', 'json', 'rego')),
    };
    writeFileSync(join(folder, 'bundle.tar.gz.new'), readFileSync(output));
    writeFileSync(join(folder, 'bundle.json.new'), `${JSON.stringify(manifest, null, 2)}\n`);
    renameSync(join(folder, 'bundle.tar.gz.new'), join(folder, 'bundle.tar.gz'));
    renameSync(join(folder, 'bundle.json.new'), join(folder, 'bundle.json'));
    return manifest;
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

interface Inspection {
  annotations?: {
    location?: { file: string; row: number };
    annotations?: { title?: string; custom?: { check?: string } };
  }[];
}

function ruleLocations(inspection: string): Record<string, RuleLocation> {
  const { annotations = [] } = JSON.parse(inspection) as Inspection;
  const found = annotations.flatMap(({ location, annotations: note }) => {
    const check = note?.custom?.check;
    if (check === undefined || location === undefined) return [];
    const rule = { file: `policy/${location.file}`, line: location.row, title: note?.title ?? '' };
    return [[check, rule] as const];
  });
  return Object.fromEntries(found.sort(([a], [b]) => (a < b ? -1 : 1)));
}
