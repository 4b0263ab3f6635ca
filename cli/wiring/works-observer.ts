import { request } from 'node:http';
import { z } from 'zod';

/** What the city works show to the outside, by a path that no agent has. */
const worksState = z.object({
  signals: z.record(z.string(), z.string()),
  valve_pct: z.number(),
  orders: z.array(
    z.object({
      order: z.string(),
      carried_by: z.string(),
      work: z.discriminatedUnion('kind', [
        z.object({ kind: z.literal('signal'), district: z.string(), plan: z.string() }),
        z.object({ kind: z.literal('valve'), deltaPct: z.number() }),
      ]),
    }),
  ),
});
export type WorksSeen = z.infer<typeof worksState>;

const TIMEOUT_MS = 3000;

/** Reads the works' state from their own socket. @throws Error when they do not answer. */
export async function observeWorksState(socketPath: string): Promise<WorksSeen> {
  const text = await new Promise<string>((resolve, reject) => {
    const asked = request(
      { socketPath, path: '/state', method: 'GET', timeout: TIMEOUT_MS },
      async (response) => {
        let body = '';
        response.setEncoding('utf8');
        for await (const chunk of response) body += chunk;
        resolve(body);
      },
    );
    asked.on('timeout', () => asked.destroy(new Error('the city works did not answer')));
    asked.on('error', reject);
    asked.end();
  });
  return worksState.parse(JSON.parse(text));
}
