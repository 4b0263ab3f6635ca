import { startSharedKeys } from '#cli/wiring/shared-keys/swarm.ts';

/** `FILE RUN-PATH NATS-SERVER`: starts the swarm, tells its processes, and stays until it is killed. */
const [file = '', runPath = '', natsServer = ''] = process.argv.slice(2);
const swarm = await startSharedKeys({ file, inputs: [], runPath, runId: 'killed', natsServer });
process.stdout.write(`${JSON.stringify(swarm.status().processes.map(({ pid }) => pid))}\n`);
