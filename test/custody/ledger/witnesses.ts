import { createLogHeads, type RememberingWitness } from '#custody/ledger/head.ts';
import type { Ledger } from '#custody/ledger/ledger.ts';
import type { LogPolicy } from '#custody/log/checkpoint.ts';
import { createWitness } from '#custody/log/witness.ts';
import { refuse } from '#identity/outcome.ts';
import { logSigner, memoryWitnessStore, ORIGIN, witnessSigners } from '../log/support.ts';

export const policy: LogPolicy = {
  origin: ORIGIN,
  log: [logSigner.verifier],
  witnesses: witnessSigners.map(({ verifier }) => verifier),
  quorum: 2,
};

export interface TestWitness {
  readonly peer: RememberingWitness;
  cosigned: number;
  silent: boolean;
}

/** The real core of three witnesses, without a process around it. */
export function testWitnesses(clock: () => number): TestWitness[] {
  return witnessSigners.map((signer) => {
    const store = memoryWitnessStore();
    const witness = createWitness({
      signer,
      logs: new Map([[ORIGIN, policy.log]]),
      store,
      clock,
    });
    const state: TestWitness = {
      cosigned: 0,
      silent: false,
      peer: {
        name: signer.verifier.name,
        add: async (request) => {
          if (state.silent) return refuse('WITNESS_UNREACHABLE', 'no answer');
          state.cosigned += 1;
          return witness.cosign(request);
        },
        last: async () => {
          if (state.silent) return undefined;
          const { note } = store.memories.get(ORIGIN) ?? {};
          return note === undefined ? {} : { note };
        },
      },
    };
    return state;
  });
}

/** Heads of a test's ledger; `stored` holds the notes that would be in the stream. */
export function testHeads(ledger: Ledger, witnesses: readonly TestWitness[]) {
  const stored: string[] = [];
  const heads = createLogHeads({
    entries: ledger.entries(),
    durable: ledger.durable,
    signer: logSigner,
    logKeys: policy.log,
    policy,
    witnesses: witnesses.map(({ peer }) => peer),
    store: async (note) => stored.push(note) > 0,
  });
  return { heads, stored };
}
