import type { IssuerCode } from '../issuer/codes.ts';
import { shownName } from '../issuer/shown.ts';
import { accept, type Outcome, refuse } from '../outcome.ts';
import { type Executable, type ProcessFacts, sameExecutable } from './proc.ts';

/** The process that opened a connection, as the kernel tells it. Holds a descriptor: close it. */
export interface Peer {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
  readonly startTime: number;
  readonly exe: Executable;
  /** Is it still that process, running that executable? Asked again before each use. */
  check(): Outcome<true, IssuerCode>;
  close(): void;
}

export interface PeerCredentials {
  /**
   * `pidfd`: the kernel pins the process, a reused PID is never taken for it. `start-time`: the
   * PID is compared with the process' start time (kernels before 6.5, and macOS), which leaves
   * processes that start in the same clock tick.
   */
  readonly capability: 'pidfd' | 'start-time';
  /** @param fd descriptor of a just accepted Unix socket; read before anything is read from it. */
  read(fd: number): Outcome<Peer, IssuerCode>;
}

/** What distinguishes a peer from a later process with its PID; the platform fills it in. */
export interface PeerFacts extends ProcessFacts {
  readonly uid: number;
  readonly gid: number;
}

/**
 * @param lookup what the process of this PID is now
 * @param alive whether the peer itself lives; asked after `lookup`, so that what was found by the PID
 * was found of the peer
 */
export function makePeer(
  facts: PeerFacts,
  lookup: (pid: number) => Pick<ProcessFacts, 'startTime' | 'exe'> | undefined,
  alive: () => boolean,
  close: () => void,
): Peer {
  return {
    ...facts,
    check: () => {
      const now = lookup(facts.pid);
      if (!alive() || now === undefined || now.startTime !== facts.startTime) {
        return refuse('PEER_GONE', `process ${facts.pid} has ended`);
      }
      // Connect, then exec: the PID stays, the program behind it does not.
      if (!sameExecutable(now.exe, facts.exe)) {
        return refuse(
          'PEER_EXEC_CHANGED',
          `process ${facts.pid} now runs ${shownName(now.exe.path)}`,
        );
      }
      return accept(true);
    },
    close,
  };
}
