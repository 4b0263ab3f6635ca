import { expect, test } from 'vitest';
import { importsOf, read, resolveImport, sourcesIn } from './sources.ts';

/** npm package → the files that import it → why it is there. Nothing else may. */
const BUDGET: Readonly<Record<string, readonly [why: string, ...files: string[]]>> = {
  '@bufbuild/protobuf': [
    'messages of the Workload API; reflection serves their descriptors',
    'identity/issuer/grpc-methods.ts',
    'identity/issuer/reflection.ts',
  ],
  '@connectrpc/connect': [
    'gRPC client of the Workload API; its server would take three times the time a call',
    'identity/workload-api/rpc.ts',
  ],
  '@connectrpc/connect-node': ['gRPC client over a Unix socket', 'identity/workload-api/rpc.ts'],
  '@nats-io/jetstream': ['streams and their consumers', 'bus/streams.ts'],
  '@nats-io/transport-node': ['the NATS client', 'bus/client/nats.ts'],
  '@open-policy-agent/opa-wasm': ['runs the compiled Rego', 'policy/engine.ts'],
  '@peculiar/x509': ['builds authority certificates', 'identity/issuer/authority.ts'],
  koffi: ['getsockopt for peer credentials', 'identity/attestors/native.ts'],
  'reflect-metadata': ['@peculiar/x509 asks for it first', 'identity/issuer/authority.ts'],
  zod: ['messages of the launcher link', 'identity/issuer/link-messages.ts'],
};

const BUDGETED = ['identity', 'custody', 'policy', 'bus'];

function packagesIn(folders: readonly string[]): string[] {
  const pairs = sourcesIn(folders).flatMap((source) =>
    importsOf(source).flatMap(({ specifier }) => {
      const target = specifier === undefined ? undefined : resolveImport(source.path, specifier);
      return target?.kind === 'package' ? [`${target.name} in ${source.path}`] : [];
    }),
  );
  return [...new Set(pairs)].sort();
}

test('identity, custody, policy and bus use exactly the packages of the budget, each in its file', () => {
  const granted = Object.entries(BUDGET).flatMap(([name, [, ...files]]) =>
    files.map((file) => `${name} in ${file}`),
  );
  expect(packagesIn(BUDGETED)).toEqual(granted.sort());
});

test('every import names a package of package.json, and runs without the development ones', () => {
  const { dependencies } = JSON.parse(read('package.json'));
  const product = ['identity', 'custody', 'policy', 'bus', 'services', 'agents', 'runtime', 'cli'];
  const unknown = packagesIn(product).filter(
    (pair) => !Object.hasOwn(dependencies, pair.split(' in ')[0] ?? ''),
  );
  expect(unknown).toEqual([]);
});

test('versions are pinned exactly', () => {
  const { dependencies, devDependencies } = JSON.parse(read('package.json'));
  const loose = Object.entries({ ...dependencies, ...devDependencies }).filter(
    ([, version]) => !/^\d+\.\d+\.\d+$/.test(String(version)),
  );
  expect(loose).toEqual([]);
});

test('the lock file names the optional packages of every platform, else npm ci refuses it', () => {
  const { packages } = JSON.parse(read('package-lock.json'));
  const missing = Object.values(packages as Record<string, { optionalDependencies?: object }>)
    .flatMap(({ optionalDependencies }) => Object.keys(optionalDependencies ?? {}))
    .filter((name) => packages[`node_modules/${name}`] === undefined);
  expect(missing).toEqual([]);
});
