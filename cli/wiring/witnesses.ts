import { dirname, join } from 'node:path';
import { parseVerifierKey, type VerifierKey } from '#custody/log/keys.ts';
import type { Rollover } from '#custody/log/rollover.ts';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import type { CustodyPins } from '#runtime/process-protocol.ts';
import type { RunFolder } from '#runtime/run-folder.ts';
import type { Swarm } from '#runtime/swarm-file/resolve.ts';
import { WITNESS_NAMES, WITNESS_QUORUM, type WitnessName } from '#runtime/witness/names.ts';
import type { LedgerConfig, WitnessConfig } from '../processes/configs.ts';
import type { CustodyKeys } from './custody-keys.ts';
import { type CustodyHistory, keepPins, policyInForce } from './custody-policy.ts';

/** A tree head that a quorum of the witnesses has cosigned; `time` in seconds, as they say it. */
export interface WitnessedSize {
  readonly size: number;
  readonly time: number;
}

/** What the supervisor knows of the witnesses, from what each tells it alone. */
export interface Witnesses {
  /** A witness told its key: the pinned one, or at the very first start the one to pin. */
  told(name: WitnessName, vkey: string): Outcome<unknown, 'WITNESS_KEY_CHANGED'>;
  cosigned(name: WitnessName, head: WitnessedSize): void;
  /** Pins what they told, once all have, when nothing was pinned yet. */
  pin(): Promise<Outcome<unknown, 'WITNESS_KEY_CHANGED'>>;
  /** What every process is told to believe. @throws Error before the keys are known: a bug. */
  pins(): CustodyPins;
  /** From which size of the log on which keys are in force. @throws as `pins` */
  policies(): readonly [Rollover, ...Rollover[]];
  /** The newest size that a quorum has cosigned, with the time by which a quorum had. */
  newest(): WitnessedSize | undefined;
  configOf(name: WitnessName): WitnessConfig;
  ledgerConfig(): LedgerConfig;
  ledgerSecrets(): Readonly<Record<string, string>>;
}

/** What a witness signs as. */
export function witnessKeyName(trustDomain: string, name: WitnessName): string {
  return `${trustDomain}/${name}`;
}

export function witnessFolder(run: RunFolder, name: WitnessName): string {
  return join(run.witnesses, name);
}

/** Folders that are a witness's own: its state, and where its socket lies. */
export function witnessFolders(run: RunFolder, name: WitnessName): readonly [string, string] {
  return [witnessFolder(run, name), dirname(run.witnessSocket(name))];
}

export function createWitnesses(options: {
  readonly swarm: Swarm;
  readonly run: RunFolder;
  readonly keys: CustodyKeys;
}): Witnesses {
  const { swarm, run, keys } = options;
  const { trustDomain } = swarm;
  const told = new Map<WitnessName, VerifierKey>();
  const heads = new Map<WitnessName, WitnessedSize>();
  let history: CustodyHistory | undefined = keys.history;

  const pinnedOf = (name: WitnessName): string | undefined =>
    history &&
    policyInForce(history).witnesses.find((key) => key.name === witnessKeyName(trustDomain, name))
      ?.vkey;
  const known = (): CustodyHistory => {
    if (history === undefined) throw new Error('the keys of the witnesses are not known yet');
    return history;
  };

  return {
    told: (name, vkey) => {
      const changed = (what: string) => refuse('WITNESS_KEY_CHANGED' as const, `${name}: ${what}`);
      const key = parseVerifierKey(vkey);
      if (!key.ok || key.value.name !== witnessKeyName(trustDomain, name)) {
        return changed('told what is not a key of its own');
      }
      const before = pinnedOf(name) ?? told.get(name)?.vkey;
      if (before !== undefined && before !== vkey) {
        return changed(
          "its key is not the pinned one; put its folder back, or replace it with 'swarmproof custody rollover'",
        );
      }
      told.set(name, key.value);
      return accept({});
    },
    cosigned: (name, head) => heads.set(name, head),
    pin: async () => {
      if (history !== undefined) return accept({});
      const witnesses = [...told.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
      const log = parseVerifierKey(keys.logKey);
      if (witnesses.length !== WITNESS_NAMES.length || !log.ok) {
        return refuse('WITNESS_KEY_CHANGED', 'not every witness told its key');
      }
      const { origin } = keys;
      const policy = { origin, log: [log.value], witnesses, quorum: WITNESS_QUORUM };
      await keepPins(run.custody, policy);
      history = { policies: [{ from: 0, policy }], rollovers: [] };
      return accept({});
    },
    pins: () => {
      const { origin, log, witnesses, quorum } = policyInForce(known());
      return {
        origin,
        log: log.map(({ vkey }) => vkey),
        witnesses: witnesses.map(({ vkey }) => vkey),
        quorum,
        attester: keys.attesterKey,
        // The attester states theirs like everybody's, and the ledger takes no record before it has
        // entered that: a thief of the authority's key is neither ledger nor supervisor.
        bootstrap: [],
      };
    },
    policies: () => known().policies,
    newest: () => {
      const { quorum } = policyInForce(known());
      // The greatest number that a quorum has reached.
      const reached = (of: keyof WitnessedSize): number | undefined =>
        [...heads.values()].map((head) => head[of]).sort((a, b) => b - a)[quorum - 1];
      const [size, time] = [reached('size'), reached('time')];
      return size === undefined || time === undefined ? undefined : { size, time };
    },
    configOf: (name) => {
      const pinned = pinnedOf(name);
      return {
        keyName: witnessKeyName(trustDomain, name),
        folder: witnessFolder(run, name),
        socket: run.witnessSocket(name),
        origin: keys.origin,
        logKeys: [keys.logKey],
        ...(pinned !== undefined && { pinned }),
      };
    },
    ledgerConfig: () => ({
      witnesses: WITNESS_NAMES.map((name) => ({
        name: witnessKeyName(trustDomain, name),
        socket: run.witnessSocket(name),
      })),
      logKeys: known().policies.flatMap(({ policy }) => policy.log.map(({ vkey }) => vkey)),
      rollovers: [...known().rollovers],
    }),
    ledgerSecrets: () => ({ ledgerKey: keys.ledgerSecret }),
  };
}
