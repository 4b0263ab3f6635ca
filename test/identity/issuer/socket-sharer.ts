import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';

/**
 * Connects, gives the connection to a child, and becomes another program or ends: the kernel still
 * names this PID as the peer. The child speaks only once that has happened.
 */
const path = String((await once(process.stdin, 'data'))[0]).trim();
// Paused: what the issuer says first is for the child to read.
const socket = connect(path).pause();
await once(socket, 'connect');
// Connections are accepted in their order: once the issuer speaks on a later one, it has looked at
// who opened this one.
await once(connect(path), 'data');
const { _handle } = socket as unknown as { _handle: { fd: number } };
const child = new URL('./child.ts', import.meta.url).pathname;
const left = process.argv[2] === 'exit';
const here = `/proc/${process.pid}/comm`;
const done = left ? `[ ! -e ${here} ]` : `grep -q sleep ${here}`;
const script = `until ${done}; do sleep 0.02; done; exec "$@"`;
spawn('/bin/sh', ['-c', script, 'sh', process.execPath, '--no-warnings', child, '3'], {
  stdio: ['ignore', 'inherit', 'inherit', _handle.fd],
});
if (left) process.exit(0);
process.execve?.(process.argv[3] ?? '/bin/sleep', ['sleep', '60'], {});
