import { spiffeId } from '#identity/spiffe-id.ts';
import { clientTls } from '#identity/tls.ts';
import { openX509Source } from '#identity/workload-api/client.ts';

/**
 * An agent's road to its identity, as one file under the permission model. Argument: the socket.
 * Prints one JSON line on each push, and leaves when it is denied.
 */
const [, , socketPath = ''] = process.argv;
const abort = new AbortController();
const source = await openX509Source({
  socketPath,
  signal: abort.signal,
  onState: (state) => {
    if (state.kind === 'denied') setImmediate(() => source.close());
  },
});
const say = () => {
  try {
    const { id } = source.svid();
    const options = clientTls(source, spiffeId('spiffe://city.example/platform/nats'));
    const pem = [options.cert, options.key, options.ca].map((text) => text.split('\n')[0]);
    const may = (name: string) => process.permission.has(name);
    const rights = ['fs.write', 'child', 'worker', 'addons'].filter(may);
    process.stdout.write(`${JSON.stringify({ id, pem, rights })}\n`);
  } catch (error) {
    process.stdout.write(`${JSON.stringify({ error: String(error) })}\n`);
  }
};
source.onUpdate(say);
say();
