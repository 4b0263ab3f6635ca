import { createWriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';
import { plainText } from '#runtime/launcher/log-file.ts';
import { LOG_SUBJECT } from './codec.ts';
import { connectWithKey } from './connect.ts';

/** The swarm's account of what happened: a text file. */
export interface PlainLog {
  close(): Promise<void>;
}

/**
 * Writes down what comes as a line for the log, as it comes: whoever has the key writes what he likes
 * in whose name he likes, and whoever may write the file changes it.
 */
export async function openPlainLog(path: string, url: string, key: string): Promise<PlainLog> {
  const nats = await connectWithKey(url, key);
  const file = createWriteStream(path, { flags: 'a', mode: 0o600 });
  // A full disk loses lines of the log, as it does elsewhere, and ends nothing.
  file.on('error', () => {});
  nats.subscribe(LOG_SUBJECT, {
    callback: (_error, { data }) => {
      file.write(`${plainText(Buffer.from(data).toString('utf8'))}\n`);
    },
  });
  await nats.flush();
  return {
    close: async () => {
      await nats.drain();
      file.end();
      await finished(file).catch(() => {});
    },
  };
}
