import { open, rename } from 'node:fs/promises';
import { dirname } from 'node:path';

/**
 * Writes a file so that after a crash at any point there is the old one or the new one, whole:
 * written aside, synced, renamed, and the folder synced, without which the rename itself may be
 * lost. Resolves when it is durable. One writer per path; what a crash leaves aside is overwritten.
 * @throws the error of the file system
 */
export async function writeDurably(path: string, content: string, mode = 0o600): Promise<void> {
  const aside = `${path}.new`;
  const file = await open(aside, 'w', mode);
  try {
    await file.writeFile(content);
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(aside, path);
  const folder = await open(dirname(path), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
