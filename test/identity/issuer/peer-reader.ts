import { createServer, type Socket } from 'node:net';
import { openPeerCredentials } from '#identity/attestors/peer-credentials.ts';

/** Reports what the real parser says of each caller; for a PID namespace of its own. */
const credentials = openPeerCredentials(process.platform);
if (!credentials.ok) throw new Error(credentials.code);
const server = createServer((socket: Socket) => {
  const { _handle } = socket as unknown as { _handle: { fd: number } };
  const peer = credentials.value.read(_handle.fd);
  socket.end(peer.ok ? 'known' : peer.code);
});
server.listen(process.argv[2] ?? '', () => process.stdout.write('ready\n'));
process.stdin.on('end', () => process.exit(0)).resume();
