import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type CustodyKeys, ledgerSigner, openCustodyKeys } from '#cli/wiring/custody-keys.ts';
import { createWitnesses, type Witnesses } from '#cli/wiring/witnesses.ts';
import { signCheckpoint } from '#custody/log/checkpoint.ts';
import type { NoteSigner, VerifierKey } from '#custody/log/keys.ts';
import { createMemoryHashStore, createMerkleTree } from '#custody/log/merkle.ts';
import type { RunFolder } from '#runtime/run-folder.ts';
import type { Swarm } from '#runtime/swarm-file/resolve.ts';
import { createWitnessClient } from '#runtime/witness/client.ts';
import { WITNESS_NAMES, type WitnessName } from '#runtime/witness/names.ts';
import { startWitness, type WitnessService } from '#runtime/witness/service.ts';
import { tempFolder, value } from '#test/runtime/support.ts';

export const TRUST_DOMAIN = 'city.example';

/** The folder of a run, as far as custody is concerned, with witnesses started as a swarm would. */
export async function createCustodyRun() {
  const { path, remove } = await tempFolder();
  const run = {
    path,
    custody: join(path, 'custody'),
    witnesses: join(path, 'witnesses'),
    witnessSocket: (name: WitnessName) => join(path, `${name}.sock`),
  } as RunFolder;
  const swarm = { trustDomain: TRUST_DOMAIN } as Swarm;
  await mkdir(run.custody);
  const log = createMerkleTree(createMemoryHashStore());
  const living = new Map<WitnessName, WitnessService>();

  const keys = async (): Promise<CustodyKeys> =>
    value(await openCustodyKeys({ folder: run.custody, trustDomain: TRUST_DOMAIN }));

  /** Starts keys and witnesses; resolves with what the supervisor then knows. */
  async function up(names: readonly WitnessName[] = WITNESS_NAMES): Promise<{
    readonly keys: CustodyKeys;
    readonly witnesses: Witnesses;
    readonly signer: NoteSigner;
  }> {
    const opened = await keys();
    const witnesses = createWitnesses({ swarm, run, keys: opened });
    for (const name of names) {
      const { keyName, pinned, folder, socket, origin } = witnesses.configOf(name);
      await mkdir(folder, { recursive: true });
      const signer = ledgerSigner(opened.origin, opened.ledgerSecret);
      const service = value(
        await startWitness({
          ...{ keyName, pinned, folder, socketPath: socket },
          logs: new Map<string, readonly VerifierKey[]>([[origin, [signer.verifier]]]),
          clock: Date.now,
          onCosigned: (size, time) => witnesses.cosigned(name, { size, time }),
          onFork: () => {},
        }),
      );
      living.set(name, service);
      value(witnesses.told(name, service.vkey));
    }
    value(await witnesses.pin());
    return { keys: opened, witnesses, signer: ledgerSigner(opened.origin, opened.ledgerSecret) };
  }

  async function down(): Promise<void> {
    for (const service of living.values()) await service.close();
    living.clear();
  }

  return {
    run,
    log,
    keys,
    up,
    down,
    /** Lets the log grow to `size` and asks each living witness to cosign it with this key. */
    head: async (size: number, signer: NoteSigner) => {
      while (log.size() < size) log.append(`entry ${log.size()}`);
      const { origin } = await keys();
      const note = signCheckpoint({ origin, size, root: log.root(size) }, signer);
      const lines: string[] = [];
      for (const name of living.keys()) {
        const client = createWitnessClient({
          name,
          socketPath: run.witnessSocket(name),
          timeoutMs: 60_000,
        });
        const proofOf = (oldSize: number) => ({
          oldSize,
          proof: log.consistency(oldSize, size),
          checkpoint: note,
        });
        let answer = await client.add(proofOf(0));
        if (!answer.ok && answer.size !== undefined)
          answer = await client.add(proofOf(answer.size));
        lines.push(value(answer));
      }
      return note + lines.join('');
    },
    clear: async () => {
      await down();
      await remove();
    },
  };
}
