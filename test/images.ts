import { buildImages } from '#cli/wiring/images.ts';

/**
 * Before the first test: the images that swarms of tests run, built once. A build that fails fails
 * the tests that start a swarm, with its reason, and no others.
 */
export async function setup(): Promise<void> {
  await buildImages((line) => process.stderr.write(`${line}\n`)).catch((error: unknown) => {
    process.stderr.write(`images: ${error instanceof Error ? error.message : String(error)}\n`);
  });
}
