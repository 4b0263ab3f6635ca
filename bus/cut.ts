import { type ConnectOptions, connectNats, type NatsConnection } from './client/nats.ts';

/** An administrator of the broker's account SYS: only its pinned NKey may ask these. */
export type SystemConnection = ConnectOptions & { readonly nkeySeed: string };

interface Connection {
  readonly cid: number;
  /** SHA-256 of the DER of each certificate that the client showed, hex, leaf first. */
  readonly certificates: readonly string[];
}

const REQUEST_MS = 3000;
const PAGE = 512;
/** Who is cut comes again, and is refused by the gate; one that was on its way in is cut then. */
const ROUNDS = 5;

/** What the server says of its connections; anything else in its answer is passed over. */
function connectionsIn(answer: unknown): { readonly all: readonly Connection[]; total: number } {
  const { data } = Object(answer) as { data?: unknown };
  const { connections, total } = Object(data) as { connections?: unknown; total?: unknown };
  const all = (Array.isArray(connections) ? connections : []).flatMap((one: unknown) => {
    const { cid, tls_peer_certs: shown } = Object(one) as Record<string, unknown>;
    if (typeof cid !== 'number') return [];
    const certificates = (Array.isArray(shown) ? shown : []).map((certificate: unknown) =>
      String((Object(certificate) as Record<string, unknown>).cert_sha256),
    );
    return [{ cid, certificates }];
  });
  return { all, total: typeof total === 'number' ? total : 0 };
}

async function under(
  nats: NatsConnection,
  leaves: ReadonlySet<string>,
): Promise<readonly number[]> {
  const found: number[] = [];
  for (let offset = 0; ; offset += PAGE) {
    const options = JSON.stringify({ auth: true, offset, limit: PAGE });
    const reply = await nats.request('$SYS.REQ.SERVER.PING.CONNZ', options, {
      timeout: REQUEST_MS,
    });
    const { all, total } = connectionsIn(reply.json());
    for (const { cid, certificates } of all) {
      if (leaves.has(certificates[0] ?? '')) found.push(cid);
    }
    if (all.length === 0 || offset + all.length >= total) return found;
  }
}

/**
 * Ends every connection to the broker that was opened under one of these certificates, and says how
 * many that were. The gate must refuse them before: who is cut comes again within a second.
 * @param thumbprints base64url(SHA-256(leaf DER))
 * @throws Error when the broker cannot be asked
 */
export async function cutConnections(
  options: SystemConnection,
  thumbprints: ReadonlySet<string>,
): Promise<number> {
  const leaves = new Set(
    [...thumbprints].map((thumbprint) => Buffer.from(thumbprint, 'base64url').toString('hex')),
  );
  const nats = await connectNats(options);
  try {
    const id = nats.info?.server_id ?? '';
    let cut = 0;
    for (let round = 0; round < ROUNDS; round += 1) {
      const found = await under(nats, leaves);
      if (found.length === 0) break;
      for (const cid of found) {
        const request = JSON.stringify({ cid });
        await nats.request(`$SYS.REQ.SERVER.${id}.KICK`, request, { timeout: REQUEST_MS });
      }
      cut += found.length;
    }
    return cut;
  } finally {
    await nats.close();
  }
}
