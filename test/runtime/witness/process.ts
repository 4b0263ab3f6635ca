import { chmod, mkdir, realpath } from 'node:fs/promises';
import { join } from 'node:path';
import type { WitnessConfig } from '#cli/processes/configs.ts';
import { storeImages } from '#cli/wiring/images.ts';
import { type LaunchContext, launch } from '#runtime/launcher/launch.ts';
import { findLifeline } from '#runtime/launcher/lifeline.ts';
import type { RunningProcess } from '#runtime/launcher/running.ts';
import type { FromChild } from '#runtime/process-protocol.ts';
import { createWitnessClient } from '#runtime/witness/client.ts';
import { logSigner, ORIGIN } from '#test/custody/log/support.ts';
import { startMessage, tempFolder, value } from '../support.ts';
import { KEY_NAME } from './support.ts';

/** A witness as a swarm runs it: its signed image, sealed, in a process of its own. */
export async function createWitnessBench() {
  const { path, remove } = await tempFolder();
  await chmod(path, 0o711);
  const store = join(path, 'store');
  const { images } = await storeImages(store, undefined, ['witness']);
  const image = images.get('witness');
  if (image === undefined) throw new Error('no image');
  const folder = join(path, 'state');
  const socket = join(path, 'state', 's');
  await mkdir(folder, { mode: 0o700 });
  const config: WitnessConfig = {
    keyName: KEY_NAME,
    folder,
    socket,
    origin: ORIGIN,
    logKeys: [logSigner.verifier.vkey],
  };
  const context: LaunchContext = {
    node: await realpath(process.execPath),
    store,
    logs: path,
    lifeline: await findLifeline(),
    attest: async () => ({ ok: true, value: {} }),
    exited: () => {},
  };
  const said: FromChild[] = [];
  const living = new Set<RunningProcess>();
  return {
    folder,
    socket,
    said,
    client: createWitnessClient({ name: 'w', socketPath: socket, timeoutMs: 10_000 }),
    /** Resolves when the process is ready, or has ended without. */
    start: async (more: Partial<WitnessConfig> = {}): Promise<RunningProcess> => {
      const running = value(
        await launch(
          {
            name: 'witness-1',
            image,
            hardening: 'sealed',
            ownFolders: [folder],
            start: () => startMessage({ ...config, ...more }, { members: [] }),
          },
          context,
        ),
      );
      living.add(running);
      running.onMessage((message) => said.push(message));
      await running.ready;
      return running;
    },
    clear: async () => {
      for (const running of living) running.kill();
      await Promise.all([...living].map(({ exited }) => exited));
      await remove();
    },
  };
}
