import { Socket } from 'node:net';
import { call, openSession, readSvids } from './raw-client.ts';

/**
 * A workload as a process of its own. Waits for one message naming the socket (or the number of an
 * inherited descriptor), then reports every SVID push and the final status.
 */
const { title } = process.env;
if (title !== undefined) process.title = title;
const { promise, resolve } = Promise.withResolvers<string | number>();
if (process.argv[2] !== undefined) resolve(Number(process.argv[2]));
else process.once('message', (message) => resolve(String(message)));
process.on('disconnect', () => process.exit(0));
const where = await promise;
const session = openSession(
  typeof where === 'number' ? new Socket({ fd: where, readable: true, writable: true }) : where,
);
const report = (message: object): void => {
  if (process.send !== undefined) process.send(message);
  else process.stdout.write(`${JSON.stringify(message)}\n`);
};
const stream = call(session, 'FetchX509SVID');
for (;;) {
  const message = await stream.next();
  if (message === undefined) break;
  report({ svids: readSvids(message).map(({ id, serial }) => ({ id, serial })) });
}
report({ status: await stream.status });
session.destroy();
