import { execFile, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { withLock } from '#runtime/tools/lock.mjs';

const ROOT = new URL('../../..', import.meta.url).pathname.replace(/\/$/, '');
const CACHE = join(ROOT, '.swarmproof', 'cache', 'clients');
const PROTO = join(ROOT, 'identity', 'workload-api', 'workload.proto');
const SOURCES = new URL('.', import.meta.url).pathname;
const GO_FOLDER = join(SOURCES, 'go');
const PYTHON_FOLDER = join(SOURCES, 'python');

const run = promisify(execFile);
const MINUTES = 60_000;

export interface GoClients {
  readonly stubs: string;
  readonly spiffe: string;
  readonly helper: string;
  readonly grpcurl: string;
}

export interface PythonClient {
  readonly python: string;
  readonly script: string;
  /** `PYTHONPATH` of the stubs. */
  readonly stubs: string;
}

/** Is there such a program? Says which version; looks at the PATH alone. */
function toolchain(program: string, args: readonly string[]): string | undefined {
  const { status, stdout } = spawnSync(program, args, { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : undefined;
}

export const missingGo: string | undefined =
  toolchain('go', ['version']) === undefined
    ? 'no go on the PATH: install Go 1.25 or newer'
    : undefined;
export const missingPython: string | undefined =
  toolchain('python3', ['-c', 'import venv, ensurepip']) === undefined
    ? 'no python3 with venv on the PATH: install python3 and python3-venv'
    : undefined;

/** Digest of everything that is built from: an unchanged client is built once. */
function digestOf(folder: string, more: readonly string[]): string {
  const hash = createHash('sha256').update(readFileSync(PROTO));
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()) {
    if (/\.(go|mod|sum|py|txt)$/.test(name))
      hash.update(name).update(readFileSync(join(folder, name)));
  }
  for (const text of more) hash.update(text);
  return hash.digest('hex');
}

async function once(name: string, digest: string, build: () => Promise<void>): Promise<void> {
  mkdirSync(CACHE, { recursive: true });
  await withLock(join(CACHE, `${name}.lock`), async () => {
    const stamp = join(CACHE, `${name}.digest`);
    if (existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return;
    rmSync(stamp, { force: true });
    await build();
    writeFileSync(stamp, digest);
  });
}

const go = (...args: readonly string[]) =>
  run('go', [...args], {
    cwd: GO_FOLDER,
    env: { ...process.env, CGO_ENABLED: '0', GOFLAGS: '-mod=readonly' },
    timeout: 20 * MINUTES,
    maxBuffer: 16 * 1024 * 1024,
  });

/** go-spiffe, spiffe-helper and grpcurl, and a client of stubs that are made of our own proto. */
export async function buildGoClients(): Promise<GoClients> {
  const bin = join(CACHE, 'bin');
  const workload = join(CACHE, 'workload');
  await once('go', digestOf(GO_FOLDER, [toolchain('go', ['version']) ?? '']), async () => {
    mkdirSync(workload, { recursive: true });
    mkdirSync(bin, { recursive: true });
    writeFileSync(join(workload, 'go.mod'), 'module swarmproof.test/workload\n\ngo 1.24.0\n');
    const build = (...packages: readonly string[]) =>
      go('build', '-trimpath', '-ldflags', '-s -w', '-o', `${bin}/`, ...packages);
    await build(
      'google.golang.org/protobuf/cmd/protoc-gen-go',
      'google.golang.org/grpc/cmd/protoc-gen-go-grpc',
    );
    const template = {
      version: 'v2',
      plugins: ['protoc-gen-go', 'protoc-gen-go-grpc'].map((plugin) => ({
        local: join(bin, plugin),
        out: workload,
        opt: ['paths=source_relative', 'Mworkload.proto=swarmproof.test/workload'],
      })),
    };
    const buf = join(ROOT, 'node_modules', '.bin', 'buf');
    const from = ['identity/workload-api', '--path', 'identity/workload-api/workload.proto'];
    await run(buf, ['generate', ...from, '--template', JSON.stringify(template)], { cwd: ROOT });
    await build(
      './stubs',
      './spiffe',
      'github.com/spiffe/spiffe-helper/cmd/spiffe-helper',
      'github.com/fullstorydev/grpcurl/cmd/grpcurl',
    );
  });
  return {
    stubs: join(bin, 'stubs'),
    spiffe: join(bin, 'spiffe'),
    helper: join(bin, 'spiffe-helper'),
    grpcurl: join(bin, 'grpcurl'),
  };
}

/** grpcio with stubs made of our own proto by its own protoc, and py-spiffe. */
export async function buildPythonClient(): Promise<PythonClient> {
  const venv = join(CACHE, 'python');
  const python = join(venv, 'bin', 'python3');
  const stubs = join(CACHE, 'python-stubs');
  await once(
    'python',
    digestOf(PYTHON_FOLDER, [toolchain('python3', ['--version']) ?? '']),
    async () => {
      await run('python3', ['-m', 'venv', '--clear', venv], { timeout: 2 * MINUTES });
      const install = [
        '-m',
        'pip',
        'install',
        '--quiet',
        '--no-input',
        '--disable-pip-version-check',
      ];
      const from = ['-r', join(PYTHON_FOLDER, 'requirements.txt')];
      await run(python, [...install, ...from], { timeout: 10 * MINUTES });
      mkdirSync(stubs, { recursive: true });
      const out = [`--python_out=${stubs}`, `--grpc_python_out=${stubs}`];
      const protoc = ['-m', 'grpc_tools.protoc', `-I${join(PROTO, '..')}`, ...out, PROTO];
      await run(python, protoc, { timeout: 2 * MINUTES });
    },
  );
  return { python, script: join(PYTHON_FOLDER, 'client.py'), stubs };
}
