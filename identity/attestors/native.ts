import koffi from 'koffi';

/**
 * The few C calls that Node does not offer. Symbols come from the C library that the running Node
 * already has loaded, so glibc and musl need no file name.
 */
export interface Native {
  /** The option's bytes, or the negated errno. */
  socketOption(fd: number, level: number, option: number, size: number): Buffer | number;
  close(fd: number): void;
  /** Whether the process of a pidfd has ended, reaped or not; so for what is no descriptor, too. */
  hasEnded(pidfd: number): boolean;
  /** Two connected Unix stream sockets. */
  socketPair(): [number, number];
}

const EINTR = 4;
const POLLIN = 1;
const AF_UNIX = 1;
const SOCK_STREAM = 1;

export function loadNative(): Native {
  const library = koffi.load(null);
  const getsockopt = library.func(
    'int getsockopt(int fd, int level, int option, _Out_ uint8_t *value, _Inout_ uint32_t *size)',
  );
  const close = library.func('int close(int fd)');
  const poll = library.func('int poll(_Inout_ uint8_t *fds, unsigned long count, int timeout)');
  const socketpair = library.func(
    'int socketpair(int domain, int type, int protocol, _Out_ int32_t *pair)',
  );
  return {
    socketOption: (fd, level, option, size) => {
      const value = Buffer.alloc(size);
      const length = [size];
      if (getsockopt(fd, level, option, value, length) !== 0) return -koffi.errno();
      return value.subarray(0, length[0]);
    },
    close: (fd) => {
      close(fd);
    },
    hasEnded: (pidfd) => {
      // struct pollfd: what is asked for, then what has happened. A pidfd is readable at the end.
      const asked = Buffer.alloc(8);
      asked.writeInt32LE(pidfd, 0);
      asked.writeInt16LE(POLLIN, 4);
      for (;;) {
        const ready: number = poll(asked, 1, 0);
        // A signal to this process, a profiler's for one, says nothing about the other.
        if (ready !== -1 || koffi.errno() !== EINTR) return ready !== 0;
      }
    },
    socketPair: () => {
      const pair = new Int32Array(2);
      if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) !== 0) throw new Error('socketpair failed');
      return [pair[0] ?? -1, pair[1] ?? -1];
    },
  };
}

/** macOS: size of `struct proc_bsdinfo`, and offsets of uid, gid and start time in it. */
const BSD_INFO = { flavor: 3, size: 136, uid: 20, gid: 24, seconds: 120 } as const;
const MAX_PATH = 4096;

export interface NativeDarwin extends Native {
  /** `startTime` in seconds since the epoch, which is what `ps` can tell the launcher too. */
  processInfo(
    pid: number,
  ): { uid: number; gid: number; startTime: number; path: string } | undefined;
}

export function loadNativeDarwin(): NativeDarwin {
  const library = koffi.load('/usr/lib/libproc.dylib');
  const pidInfo = library.func(
    'int proc_pidinfo(int pid, int flavor, uint64_t arg, _Out_ uint8_t *buffer, int size)',
  );
  const pidPath = library.func('int proc_pidpath(int pid, _Out_ uint8_t *buffer, uint32_t size)');
  return {
    ...loadNative(),
    processInfo: (pid) => {
      const info = Buffer.alloc(BSD_INFO.size);
      if (pidInfo(pid, BSD_INFO.flavor, 0, info, info.length) !== info.length) return undefined;
      const path = Buffer.alloc(MAX_PATH);
      const length: number = pidPath(pid, path, path.length);
      if (length <= 0) return undefined;
      return {
        uid: info.readUInt32LE(BSD_INFO.uid),
        gid: info.readUInt32LE(BSD_INFO.gid),
        startTime: Number(info.readBigUInt64LE(BSD_INFO.seconds)),
        path: path.toString('utf8', 0, length),
      };
    },
  };
}
