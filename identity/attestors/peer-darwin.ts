import { statSync } from 'node:fs';
import type { IssuerCode } from '../issuer/codes.ts';
import { accept, type Outcome, refuse } from '../outcome.ts';
import type { NativeDarwin } from './native.ts';
import { makePeer, type Peer, type PeerCredentials } from './peer.ts';
import type { ProcessFacts } from './proc.ts';

const SOL_LOCAL = 0;
const LOCAL_PEERPID = 2;

/** macOS: the peer's PID from the socket, its facts from libproc. */
export function openDarwinCredentials(native: NativeDarwin): PeerCredentials {
  const lookup = (pid: number): (ProcessFacts & { uid: number; gid: number }) | undefined => {
    const info = native.processInfo(pid);
    if (info === undefined) return undefined;
    const stat = statSync(info.path, { bigint: true, throwIfNoEntry: false });
    if (stat === undefined) return undefined;
    const { uid, gid, startTime, path } = info;
    const exe = { path, dev: `${stat.dev}`, ino: `${stat.ino}`, ctime: `${stat.ctimeNs}` };
    return { pid, uid, gid, startTime, exe };
  };
  const read = (fd: number): Outcome<Peer, IssuerCode> => {
    const option = native.socketOption(fd, SOL_LOCAL, LOCAL_PEERPID, 4);
    if (typeof option === 'number') {
      return refuse('PEER_UNREADABLE', `LOCAL_PEERPID failed with errno ${-option}`);
    }
    const pid = option.readInt32LE(0);
    const facts = pid > 0 ? lookup(pid) : undefined;
    if (facts === undefined) return refuse('PEER_GONE', `process ${pid} has ended`);
    return accept(
      makePeer(
        facts,
        lookup,
        () => true,
        () => {},
      ),
    );
  };
  return { capability: 'start-time', read };
}
