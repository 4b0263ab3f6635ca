import type { IssuerCode } from '../issuer/codes.ts';
import { accept, type Outcome, refuse } from '../outcome.ts';
import { loadNative, loadNativeDarwin, type Native } from './native.ts';
import { makePeer, type Peer, type PeerCredentials } from './peer.ts';
import { openDarwinCredentials } from './peer-darwin.ts';
import { parsePidfdPid, readExecutable, readProcess, readProcFile } from './proc.ts';

const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const SO_PEERPIDFD = 77;

/** -1 when dead, `undefined` when the descriptor itself is not readable. */
function pidOfPidfd(fd: number): number | undefined {
  try {
    return parsePidfdPid(readProcFile(`/proc/self/fdinfo/${fd}`));
  } catch {
    return undefined;
  }
}

/** SO_PEERPIDFD of the socket; `undefined` when the kernel lacks it or the peer is already reaped. */
function peerPidfd(native: Native, fd: number): number | undefined {
  const option = native.socketOption(fd, SOL_SOCKET, SO_PEERPIDFD, 4);
  return typeof option === 'number' ? undefined : option.readInt32LE(0);
}

function linuxCredentials(native: Native, capability: PeerCredentials['capability']) {
  return (fd: number): Outcome<Peer, IssuerCode> => {
    const credentials = native.socketOption(fd, SOL_SOCKET, SO_PEERCRED, 12);
    if (typeof credentials === 'number') {
      return refuse('PEER_UNREADABLE', `SO_PEERCRED failed with errno ${-credentials}`);
    }
    const pid = credentials.readInt32LE(0);
    if (pid <= 0) {
      return refuse('PEER_FOREIGN_NAMESPACE', 'the caller has no PID in this namespace');
    }
    // Where the kernel has pidfds, a peer without one is a dead peer, never a reason to fall back.
    const pidfd = capability === 'pidfd' ? peerPidfd(native, fd) : undefined;
    if (capability === 'pidfd' && pidfd === undefined) {
      return refuse('PEER_GONE', `process ${pid} has ended`);
    }
    const close = (): void => {
      if (pidfd !== undefined && open) native.close(pidfd);
      open = false;
    };
    let open = true;
    // Order matters: facts are read by PID, then the pidfd shows that the PID was still the peer's.
    const process = readProcess(pid);
    if (process === undefined || (pidfd !== undefined && pidOfPidfd(pidfd) !== pid)) {
      close();
      return refuse('PEER_GONE', `process ${pid} has ended or may not be looked at`);
    }
    const facts = {
      ...process,
      uid: credentials.readUInt32LE(4),
      gid: credentials.readUInt32LE(8),
    };
    // A PID is nobody else's before the peer has ended, so the pidfd stands for the start time.
    const { startTime } = facts;
    return accept(
      pidfd === undefined
        ? makePeer(facts, readProcess, () => open, close)
        : makePeer(
            facts,
            () => readExecutable(pid, startTime),
            () => open && !native.hasEnded(pidfd),
            close,
          ),
    );
  };
}

/**
 * Peer credentials of this platform. There is no unauthenticated fallback.
 * @param load the C library; another one in tests of kernels that are not at hand
 */
export function openPeerCredentials(
  platform: string,
  load: () => Native = loadNative,
): Outcome<PeerCredentials, IssuerCode> {
  if (platform === 'darwin') return accept(openDarwinCredentials(loadNativeDarwin()));
  if (platform !== 'linux') {
    return refuse('PEER_UNSUPPORTED', `no peer credentials on ${platform}: use Linux or macOS`);
  }
  const native = load();
  const probe = native.socketPair();
  const pidfd = peerPidfd(native, probe[0]);
  for (const fd of pidfd === undefined ? probe : [...probe, pidfd]) native.close(fd);
  const capability = pidfd === undefined ? 'start-time' : 'pidfd';
  return accept({ capability, read: linuxCredentials(native, capability) });
}
