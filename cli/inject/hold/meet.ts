import { createPrivateKey, X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { rmSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { bundleFromCertificates } from '#identity/bundle.ts';
import { spiffeId } from '#identity/spiffe-id.ts';
import type { X509Source, X509Svid } from '#identity/svid.ts';
import { thumbprintOf } from '#identity/x509/verify.ts';
import type { StartMessage } from '#runtime/process-protocol.ts';

/** What an implant has given away of its process. */
export interface Given {
  readonly start: StartMessage;
  /** Its identity, renewed as the process' own is; absent where the process has none. */
  readonly source?: X509Source;
}

export interface Meeting {
  /** Resolves when the agent's process has reported with what it holds. */
  readonly given: Promise<Given>;
  close(): void;
}

interface Told {
  readonly type: string;
  readonly start?: StartMessage;
  readonly id?: string;
  readonly hint?: string;
  readonly key?: string;
  readonly chain?: readonly string[];
  readonly authorities?: readonly string[];
}

const der = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'base64'));

export function svidOf({ id = '', chain = [], key = '', hint = '' }: Told): X509Svid {
  const certificates = chain.map(der);
  const leaf = new X509Certificate(certificates[0] ?? new Uint8Array());
  return {
    id: spiffeId(id),
    certificates,
    key: createPrivateKey(key),
    notBefore: leaf.validFromDate,
    notAfter: leaf.validToDate,
    serial: leaf.serialNumber.toLowerCase(),
    thumbprint: thumbprintOf(leaf.raw),
    hint,
  };
}

/** Listens where implants report. A process with a key for all reports once, another with each SVID. */
export async function meetImplant(socketPath: string): Promise<Meeting> {
  rmSync(socketPath, { force: true });
  const given = Promise.withResolvers<Given>();
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => {});
    hear(socket, given.resolve);
  });
  // Implants may have uids of their own.
  server.listen({ path: socketPath, readableAll: true, writableAll: true });
  await once(server, 'listening');
  return {
    given: given.promise,
    close: () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    },
  };
}

function hear(socket: Socket, given: (what: Given) => void): void {
  const listeners = new Set<() => void>();
  let start: StartMessage | undefined;
  let svid: X509Svid | undefined;
  createInterface({ input: socket }).on('line', (line) => {
    const told = JSON.parse(line) as Told;
    if (told.type === 'start' && told.start !== undefined) {
      start = told.start;
      if (start.secrets?.apiKey !== undefined) given({ start });
    }
    if (told.type !== 'svid' || start === undefined) return;
    const first = svid === undefined;
    const latest = svidOf(told);
    svid = latest;
    for (const listener of listeners) listener();
    if (!first) return;
    const domain = start.trustDomain;
    const bundle = bundleFromCertificates(domain, (told.authorities ?? []).map(der));
    if (!bundle.ok) throw new Error(bundle.detail);
    const bundles = new Map([[domain, bundle.value]]);
    given({
      start,
      source: {
        svid: () => svid ?? latest,
        bundles: () => bundles,
        onUpdate: (listener) => {
          listeners.add(listener);
          return () => listeners.delete(listener);
        },
        close: () => {},
      },
    });
  });
}
