import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { afterEach, expect, test } from 'vitest';
import type { PeerCredentials } from '#identity/attestors/peer.ts';
import { openPeerCredentials } from '#identity/attestors/peer-credentials.ts';
import { createChanges } from '#identity/issuer/changes.ts';
import type { IssuerCode } from '#identity/issuer/codes.ts';
import { CONNECTION_LIMITS } from '#identity/issuer/connections.ts';
import { serveWorkloadApi, type WorkloadServer } from '#identity/issuer/workload-server.ts';
import { refuse } from '#identity/outcome.ts';
import {
  JWTSVIDRequestSchema,
  ValidateJWTSVIDRequestSchema,
} from '#identity/workload-api/generated/workload_pb.ts';
import { must } from '#test/identity/node/support.ts';
import { TRUST_DOMAIN } from './harness.ts';
import { call, encode, GRPC, openSession } from './raw-client.ts';

const HEADER = { 'workload.spiffe.io': 'true' };
const folder = mkdtempSync(join(tmpdir(), 'unavailable-'));
const socketPath = join(folder, 'w', 'api.sock');
let server: WorkloadServer | undefined;
afterEach(async () => {
  await server?.close();
  rmSync(folder, { recursive: true, force: true });
});

const audience = ['bank'];
const REQUESTS: readonly [string, Buffer][] = [
  ['FetchX509SVID', Buffer.alloc(5)],
  ['FetchX509Bundles', Buffer.alloc(5)],
  ['FetchJWTBundles', Buffer.alloc(5)],
  ['FetchJWTSVID', encode(JWTSVIDRequestSchema, create(JWTSVIDRequestSchema, { audience }))],
  [
    'ValidateJWTSVID',
    encode(
      ValidateJWTSVIDRequestSchema,
      create(ValidateJWTSVIDRequestSchema, { audience: 'bank', svid: 'a.b.c' }),
    ),
  ],
];

/** The status of each RPC where who may have what is answered with this code. */
async function statuses(code: IssuerCode, credentials?: PeerCredentials) {
  const refused = async () => refuse(code, 'by the test');
  const codes: string[] = [];
  server = await serveWorkloadApi({
    socketPath,
    trustDomain: TRUST_DOMAIN,
    credentials: credentials ?? must(openPeerCredentials(process.platform)),
    entitlement: { material: refused, trust: refused, tokens: refused },
    changes: createChanges(
      () => 0,
      () => false,
    ),
    clock: () => new Date(),
    denied: (_caller, one) => codes.push(one),
    limits: { ...CONNECTION_LIMITS, graceMs: 0 },
  });
  const session = openSession(socketPath);
  const found = [];
  for (const [method, body] of REQUESTS) {
    found.push(await call(session, method, HEADER, body).status);
  }
  session.destroy();
  expect(codes).toEqual(Array(REQUESTS.length).fill(code));
  return new Set(found);
}

test.each<IssuerCode>(['AUTHORITY_EXPIRED', 'NODE_OFFLINE', 'STORE_FULL', 'TOKENS_TOO_MANY'])(
  '%s is Unavailable at every RPC: asked again later it may be well (E-06)',
  async (code) => {
    expect(await statuses(code)).toEqual(new Set([GRPC.unavailable]));
  },
);

test.each<IssuerCode>(['NO_ENTRY', 'NOT_LAUNCHED', 'PEER_GONE'])(
  '%s is PermissionDenied at every RPC (E-06)',
  async (code) => {
    expect(await statuses(code)).toEqual(new Set([GRPC.permissionDenied]));
  },
);

test('a caller whom the kernel does not name is Unavailable at every RPC, whoever it may be (E-06)', async () => {
  const credentials: PeerCredentials = {
    capability: 'pidfd',
    read: () => refuse('PEER_UNREADABLE', 'by the test'),
  };
  expect(await statuses('PEER_UNREADABLE', credentials)).toEqual(new Set([GRPC.unavailable]));
});
