import { isDeepStrictEqual } from 'node:util';
import { fromBinary } from '@bufbuild/protobuf';
import { bundleFromDer, bundleFromPem, bundleToDer } from '#identity/bundle.ts';
import {
  readBundleDocument,
  readBundleMap,
  writeBundleDocument,
} from '#identity/bundle-document.ts';
import { readJson } from '#identity/json.ts';
import { jwtBundleFromJwks } from '#identity/jwt/jwks.ts';
import { parseSpiffeId, pathOf, trustDomainOf } from '#identity/spiffe-id.ts';
import { parseEndpoint } from '#identity/workload-api/endpoint.ts';
import {
  JWTBundlesResponseSchema,
  JWTSVIDResponseSchema,
  X509BundlesResponseSchema,
  X509SVIDResponseSchema,
} from '#identity/workload-api/generated/workload_pb.ts';
import { readJwtBundles, readJwtSvids } from '#identity/workload-api/jwt-update.ts';
import { readX509Bundles, readX509Update } from '#identity/workload-api/x509-update.ts';
import {
  readBoolean,
  readDerList,
  readInteger,
  readNamedBits,
  readOid,
  readSmallInteger,
  readTime,
} from '#identity/x509/der.ts';
import { chainTarget, tokenTarget } from './proofs.ts';
import { messages, seedsOf } from './seeds.ts';
import type { Target } from './target.ts';

const LIMITS = { maxBytes: 64 * 1024 };
/** SPIFFE-ID 2, said once more and in another way. */
const ID = /^spiffe:\/\/[a-z0-9._-]{1,255}(?:\/(?!\.{1,2}(?:\/|$))[a-zA-Z0-9._-]+)*$/;

function must(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}
const text = (input: Uint8Array) => Buffer.from(input).toString('latin1');

/** What the library hands to us; what it cannot decode, it refuses itself. */
function decoded<T>(decode: () => T): T | undefined {
  try {
    return decode();
  } catch {
    return undefined;
  }
}

/** Every parser of the client half that reads what a stranger sent. */
export async function identityTargets(): Promise<readonly Target[]> {
  const seeds = await seedsOf();
  const wire = await messages();
  return [
    {
      name: 'spiffe-id',
      seeds: seeds.ids,
      check(input) {
        const parsed = parseSpiffeId(text(input));
        must(parsed.ok === (ID.test(text(input)) && input.length <= 2048), 'two readings differ');
        if (!parsed.ok) return;
        const again = `spiffe://${trustDomainOf(parsed.value)}${pathOf(parsed.value)}`;
        must(again === text(input), 'an ID does not come apart');
      },
    },
    {
      name: 'endpoint',
      seeds: ['unix:///run/a.sock', 'tcp://127.0.0.1:8000', 'tcp://[::1]:80', '/a/b'].map((one) =>
        Buffer.from(one),
      ),
      check: (input) => void parseEndpoint(text(input)),
    },
    {
      name: 'der',
      seeds: seeds.certificates,
      check(input) {
        const list = readDerList(input, 64);
        if (list === undefined) return;
        const readers = [
          readBoolean,
          readInteger,
          readNamedBits,
          readOid,
          readSmallInteger,
          readTime,
        ];
        for (const node of list) for (const read of readers) read(node);
        const whole = Buffer.concat(list.map(({ raw }) => raw));
        must(whole.equals(input), 'the parts of a list are not the whole');
      },
    },
    chainTarget(seeds.vectors),
    tokenTarget(),
    {
      name: 'json',
      seeds: seeds.documents,
      check(input) {
        const value = readJson(input, LIMITS);
        if (value === undefined) return;
        const library: unknown = JSON.parse(Buffer.from(input).toString('utf8'));
        must(JSON.stringify(value) === JSON.stringify(library), 'two readings differ');
      },
    },
    {
      name: 'bundle-document',
      seeds: seeds.documents,
      check(input) {
        readBundleMap(input);
        jwtBundleFromJwks('city.example', input);
        const read = readBundleDocument('city.example', input);
        if (!read.ok) return;
        const written = writeBundleDocument(read.value);
        const again = readBundleDocument('city.example', Buffer.from(written));
        must(
          again.ok && writeBundleDocument(again.value) === written,
          'a bundle changes by writing',
        );
        const kids = again.ok && [...again.value.jwt.keys.keys()];
        must(isDeepStrictEqual(kids, [...read.value.jwt.keys.keys()]), 'keys are lost by writing');
      },
    },
    {
      name: 'bundle-der',
      seeds: [...seeds.certificates, Buffer.concat(seeds.certificates.slice(0, 3))],
      check(input) {
        const read = bundleFromDer('city.example', input);
        if (read.ok) must(Buffer.from(bundleToDer(read.value)).equals(input), 'other bytes');
      },
    },
    {
      name: 'bundle-pem',
      seeds: seeds.pems,
      check: (input) => void bundleFromPem('city.example', text(input)),
    },
    {
      name: 'x509-svid-response',
      seeds: wire.svids,
      check(input) {
        const message = decoded(() => fromBinary(X509SVIDResponseSchema, input));
        if (message === undefined) return;
        readX509Update(message);
        const erased = message.svids.every(({ x509SvidKey }) =>
          x509SvidKey.every((one) => one === 0),
        );
        must(erased, 'bytes of a private key are left in the message');
      },
    },
    {
      name: 'x509-bundles-response',
      seeds: wire.x509Bundles,
      check(input) {
        const message = decoded(() => fromBinary(X509BundlesResponseSchema, input));
        if (message !== undefined) readX509Bundles(message);
      },
    },
    {
      name: 'jwt-svid-response',
      seeds: wire.tokens,
      check(input) {
        const message = decoded(() => fromBinary(JWTSVIDResponseSchema, input));
        const read = message && readJwtSvids(message, ['reports'], new Date(0));
        if (!read?.ok) return;
        const all = read.value.every(({ audience }) => audience.includes('reports'));
        must(all, 'a token for another audience');
      },
    },
    {
      name: 'jwt-bundles-response',
      seeds: wire.jwtBundles,
      check(input) {
        const message = decoded(() => fromBinary(JWTBundlesResponseSchema, input));
        if (message !== undefined) readJwtBundles(message);
      },
    },
  ];
}
