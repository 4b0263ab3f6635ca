import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { bundleFromCertificates, certificatesToPem } from '#identity/bundle.ts';
import { createAuthority } from '#identity/issuer/authority.ts';
import type { JoinTokenReply } from '#identity/issuer/launcher-link.ts';
import { issueLeaf } from '#identity/issuer/leaf.ts';
import { createKeyMaker } from '#identity/issuer/workload-key.ts';
import type { NodeEndpoint } from '#identity/node/client.ts';
import type { MembershipOptions } from '#identity/node/membership.ts';
import { serverId } from '#identity/node/protocol.ts';
import type { Outcome } from '#identity/outcome.ts';
import { spiffeId } from '#identity/spiffe-id.ts';
import { type Bench, TRUST_DOMAIN } from '#test/identity/issuer/harness.ts';

export function must<T>(outcome: Outcome<T>): T {
  if (!outcome.ok) throw new Error(`${outcome.code}: ${outcome.detail}`);
  return outcome.value;
}

export const codeOf = (outcome: Outcome<unknown>): string => (outcome.ok ? 'OK' : outcome.code);

export function endpointOf(bench: Bench, { address }: JoinTokenReply): NodeEndpoint {
  const [host = '', port] = address.split(':');
  const bundle = must(bundleFromCertificates(TRUST_DOMAIN, bench.issuer.bundle()));
  return { host, port: Number(port), bundle };
}

/** A membership of a bench's issuer, with what it says. */
export function optionsFor(
  bench: Bench,
  made: JoinTokenReply,
  said: string[] = [],
): MembershipOptions {
  const { host, port, bundle } = endpointOf(bench, made);
  return {
    host,
    port,
    bundle,
    token: made.token,
    folder: join(bench.folder, 'node'),
    clock: () => new Date(),
    random: randomBytes,
    say: (line) => said.push(line),
  };
}

/**
 * What proves to be the issuer of a trust domain of its own, and answers as it is told: an issuer that
 * was taken over, or one of another version.
 */
export async function oddIssuer(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
) {
  const authority = await createAuthority(TRUST_DOMAIN, new Date(), randomBytes(16));
  const { spki, pkcs8 } = createKeyMaker()();
  const request = { id: spiffeId(serverId(TRUST_DOMAIN)), publicKey: spki, ttlSeconds: 600 };
  const leaf = must(issueLeaf(request, authority, new Date(), randomBytes(16)));
  const key = Buffer.from(pkcs8).toString('base64');
  const server = createServer(
    {
      cert: certificatesToPem([leaf.certificate]),
      key: `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n`,
      requestCert: true,
      rejectUnauthorized: false,
    },
    answer,
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const bundle = must(bundleFromCertificates(TRUST_DOMAIN, [authority.certificate]));
  const endpoint: NodeEndpoint = {
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    bundle,
  };
  return {
    endpoint,
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}
