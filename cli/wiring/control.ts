import { z } from 'zod';
import { encodeEntry, type LedgerEntry } from '#custody/ledger/entry.ts';
import type { RecordId } from '#custody/record.ts';
import { accept } from '#identity/outcome.ts';
import { type ControlServer, serveControl } from '#runtime/control/server.ts';
import { evidenceJson } from './evidence-json.ts';
import { type RunningSwarm, SwarmRefused } from './swarm.ts';

const listArgs = z.object({
  since: z.int().nonnegative().default(0),
  limit: z.int().min(1).max(100_000).default(1000),
});
const idArgs = z.object({ id: z.string().max(64) });

/** One entry as it is stored. */
const textOf = (entry: LedgerEntry): string => Buffer.from(encodeEntry(entry)).toString('utf8');

/** Serves a running swarm's status, ledger and stop to commands in other terminals. */
export async function serveSwarm(
  running: RunningSwarm,
  requestStop: () => void,
): Promise<ControlServer> {
  const { ledger, run } = running;
  const served = await serveControl(run.controlSocket, run.token, {
    status: async () => accept({ ...running.status(), counts: ledger.counts() }),
    stop: async () => {
      requestStop();
      return accept({});
    },
    list: async (args, part) => {
      for (const entry of ledger.list(listArgs.parse(args))) part(textOf(entry));
      return accept({ size: ledger.size() });
    },
    find: async (args) =>
      accept({ ids: ledger.find(idArgs.parse(args).id).map(({ record }) => record.id) }),
    ancestry: async (args, part) => {
      const id = idArgs.parse(args).id as RecordId;
      for (const one of ledger.ancestry(id)) part(evidenceJson(one));
      return accept({});
    },
    trust: async () =>
      accept({
        members: running.swarm.members.map(({ id }) => id),
        bundles: Object.fromEntries(
          [...running.trust()].map(([domain, { authorities }]) => [
            domain,
            authorities.map(({ raw }) => raw.toString('base64')),
          ]),
        ),
        rules: running.rules,
      }),
  });
  if (!served.ok) throw new SwarmRefused(served.detail);
  return served.value;
}
