import type { ServedEvidence } from '#cli/wiring/evidence-control.ts';
import { formatTrust } from '#custody/evidence/trust.ts';
import { leafOf, leafText } from '#custody/ledger/leaf.ts';
import {
  addCosignature,
  cosign,
  formatCheckpoint,
  signCheckpoint,
} from '#custody/log/checkpoint.ts';
import { createMemoryHashStore, createMerkleTree } from '#custody/log/merkle.ts';
import { openStatement, signStatement } from '#custody/log/statement.ts';
import { policy, trustOf } from '#test/custody/evidence/support.ts';
import { logSigner, noteSigner, ORIGIN, witnessSigners } from '#test/custody/log/support.ts';
import { IDS, type Name } from '#test/custody/support.ts';
import { createCity } from './city.ts';

const attester = noteSigner('city.example/attester');

/** A city whose ledger is a log: certificates are entered as issued, and witnesses cosign heads. */
export async function createWitnessedCity() {
  const city = await createCity({ admits: (note) => openStatement(note, [attester.verifier], 1) });
  const { ledger, swarm } = city;
  for (const name of Object.keys(IDS) as Name[]) {
    const { id, thumbprint, serial, notBefore, notAfter } = swarm.svid(name);
    const [nbf, exp] = [notBefore.getTime() / 1000, notAfter.getTime() / 1000];
    const selectors = [`process:image:${name}`];
    const issuance = { kind: 'issuance', id, thumbprint, serial, nbf, exp, selectors } as const;
    const entered = await ledger.enter(signStatement(issuance, [attester]));
    if (!entered.ok) throw new Error(entered.detail);
  }
  const checkpoints: string[] = [];

  function treeNow() {
    const tree = createMerkleTree(createMemoryHashStore());
    for (const entry of ledger.entries()) tree.append(leafText(leafOf(entry)));
    return tree;
  }

  /** Has everything that the ledger holds cosigned, now. */
  function witness(): void {
    const tree = treeNow();
    const head = { origin: ORIGIN, size: tree.size(), root: tree.root() };
    const time = Math.floor(swarm.clock() / 1000);
    checkpoints.push(
      witnessSigners
        .slice(0, 2)
        .reduce(
          (note, signer) => addCosignature(note, cosign(formatCheckpoint(head), signer, time)),
          signCheckpoint(head, logSigner),
        ),
    );
  }

  const evidence: ServedEvidence = {
    ledger: {
      ...ledger,
      get tree() {
        return treeNow();
      },
      checkpoints: () => checkpoints,
    },
    policies: () => [{ from: 0, policy }],
    pins: () => ({ origin: ORIGIN, attester: attester.verifier.vkey, bootstrap: [] }),
    trust: () => swarm.bundles,
    members: Object.values(IDS),
  };
  const trust = formatTrust(
    trustOf(swarm, {
      issuance: { keys: [attester.verifier], required: 1, bootstrap: [] },
      members: Object.values(IDS),
    }),
  );
  return { ...city, evidence, trust, witness };
}
export type WitnessedCity = Awaited<ReturnType<typeof createWitnessedCity>>;
