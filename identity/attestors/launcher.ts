import type { KeyObject } from 'node:crypto';
import {
  type Attestation,
  verifyAttestation,
  verifyImageSignature,
} from '../issuer/attestation.ts';
import type { IssuerCode } from '../issuer/codes.ts';
import type { Selector } from '../issuer/entry.ts';
import { accept, type Outcome, refuse } from '../outcome.ts';
import type { Attestor } from './attestor.ts';

export interface LauncherAttestor extends Attestor {
  /** Takes in a statement of the launcher; refused when its signature does not verify. */
  record(attestation: Attestation): Outcome<true, IssuerCode>;
  exited(pid: number, startTime: number): void;
  /** Everything the launcher said stops counting, as when its link has closed. */
  forget(): void;
  /**
   * Calls back after each change of what is attested: for one process, or for all when `pid` is
   * absent. Returns the function that stops it.
   */
  onChange(listener: (pid?: number) => void): () => void;
}

/**
 * What the launcher measured, as selectors. Only an image whose signature the issuer itself has
 * verified gets the `image-signature` ones. argv, environment and process title are the process'
 * own words and give none.
 */
export function launcherSelectors(
  attestation: Attestation,
  ciKeys: ReadonlyMap<string, KeyObject>,
): readonly Selector[] {
  const { image, workload } = attestation;
  const swarm = (value: string): Selector => ({ type: 'swarm', value });
  const selectors = [
    swarm(`agent_type:${workload.agentType}`),
    swarm(`instance:${workload.instance}`),
    swarm(`image_digest:${image.digest}`),
  ];
  const key = ciKeys.get(image.keyId);
  if (key !== undefined && verifyImageSignature(image, key)) {
    selectors.push(swarm('image-signature:verified'));
    selectors.push(swarm(`image-signature-subject:${image.keyId}`));
  }
  return selectors;
}

/**
 * Attestation by the launcher (Workload Endpoint 5: out-of-band, by the orchestrator).
 *
 * # Security considerations
 *
 * The selectors prove which image a process was started from, by a launcher that holds its pinned key
 * and the other end of an inherited descriptor; who takes over the launcher can forge all of them, and
 * who holds the CI key can sign an image. They say nothing of what the process became since: code that
 * gets in through a hole in a role has the role's selectors. Only a process that the launcher does not
 * know is left to the other attestors; one that differs from its word gets nothing.
 *
 * @param launcherKey public half of the launcher's key, from the issuer's start config
 * @param ciKeys key id → public key by which images are signed
 */
export function createLauncherAttestor(
  launcherKey: KeyObject,
  ciKeys: ReadonlyMap<string, KeyObject>,
): LauncherAttestor {
  interface Launched {
    readonly attestation: Attestation;
    readonly selectors: readonly Selector[];
  }
  const launched = new Map<number, Launched>();
  const listeners = new Set<(pid?: number) => void>();
  const changed = (pid?: number): void => {
    for (const listener of listeners) listener(pid);
  };

  return {
    name: 'launcher',
    record: (attestation) => {
      if (!verifyAttestation(attestation, launcherKey)) {
        return refuse('ATTESTATION_SIGNATURE', `process ${attestation.pid}: wrong signature`);
      }
      const selectors = launcherSelectors(attestation, ciKeys);
      launched.set(attestation.pid, { attestation, selectors });
      changed(attestation.pid);
      return accept(true);
    },
    exited: (pid, startTime) => {
      // A late report about an earlier holder of the PID must not touch the present one.
      if (launched.get(pid)?.attestation.startTime !== startTime) return;
      launched.delete(pid);
      changed(pid);
    },
    forget: () => {
      launched.clear();
      changed();
    },
    attest: (peer) => {
      const found = launched.get(peer.pid);
      if (found === undefined || found.attestation.startTime !== peer.startTime) {
        return refuse('NOT_LAUNCHED', `process ${peer.pid} was not started by the launcher`);
      }
      const { exe, uid } = found.attestation;
      if (exe.path !== peer.exe.path || exe.dev !== peer.exe.dev || exe.ino !== peer.exe.ino) {
        return refuse('EXE_MISMATCH', `process ${peer.pid} runs ${peer.exe.path}`);
      }
      if (uid !== undefined && uid !== peer.uid) {
        return refuse('UID_MISMATCH', `process ${peer.pid} has uid ${peer.uid}, not ${uid}`);
      }
      return accept(found.selectors);
    },
    onChange: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
