import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { identityVerbs } from '#cli/wiring/identity-control.ts';
import { openJwtSource, openX509Source, type X509WorkloadSource } from '#identity/index.ts';
import type { EntryInput } from '#identity/issuer/entry.ts';
import type { JoinTokenReply } from '#identity/issuer/launcher-link.ts';
import { JWTSVIDRequestSchema } from '#identity/workload-api/generated/workload_pb.ts';
import { type ControlServer, serveControl } from '#runtime/control/server.ts';
import { openRunFolder, type RunFolder } from '#runtime/run-folder.ts';
import { Bench, TRUST_DOMAIN } from '#test/identity/issuer/harness.ts';
import {
  call,
  encode,
  fetchOnce,
  GRPC,
  openSession,
  readSvids,
} from '#test/identity/issuer/raw-client.ts';
import { Agent } from './node-agent.ts';
import { folder, lines, run } from './support.ts';

const JOB = `spiffe://${TRUST_DOMAIN}/edge/job`;

describe('swarmproof identity join: an agent on another machine', () => {
  let bench: Bench;
  let place: ReturnType<typeof folder>;
  let control: ControlServer;
  let runFolder: RunFolder;
  const agents: Agent[] = [];
  const opened: { close(): void }[] = [];
  const socket = () => join(place.path, 'edge', 'api.sock');
  let ahead: number;

  beforeEach(async () => {
    place = folder();
    bench = new Bench();
    ahead = 0;
    await bench.start({ clock: () => new Date(Date.now() + ahead) });
    const made = await openRunFolder({
      path: join(place.path, 'runs', 'default'),
      id: 'default',
      tempDir: tmpdir(),
    });
    if (!made.ok) throw new Error(made.detail);
    runFolder = made.value;
    const verbs = identityVerbs((question) => question(bench.link));
    const served = await serveControl(runFolder.controlSocket, runFolder.token, verbs);
    if (!served.ok) throw new Error(served.detail);
    control = served.value;
  });
  afterEach(async () => {
    for (const one of opened.splice(0)) one.close();
    for (const agent of agents.splice(0)) await agent.end('SIGKILL');
    await control.close();
    await runFolder.close();
    await bench.stop();
    place.remove();
  });
  const swarmproof = (...args: readonly string[]) => run(place.path, ...args);

  type Invitation = JoinTokenReply & { readonly args: string[] };
  /** What an operator does on the issuer's machine by commands, and carries to the other. */
  async function invitationByHand(): Promise<Invitation> {
    const { out } = await swarmproof('identity', 'token', '--json');
    return invited(JSON.parse(out), (await swarmproof('identity', 'bundle', '--pem')).out);
  }
  /** The same without two processes. */
  async function invitation(ttl = 600): Promise<Invitation> {
    const [token, bundle] = [
      await bench.link.joinToken({ ttl }),
      await bench.link.bundleDocument(),
    ];
    if (!token.ok || !bundle.ok) throw new Error('no invitation');
    return invited(token.value, bundle.value.document);
  }
  function invited(token: JoinTokenReply, bundle: string): Invitation {
    const [tokenFile, bundleFile] = [join(place.path, 'token'), join(place.path, 'bundle.json')];
    writeFileSync(tokenFile, `${token.token}\n`);
    writeFileSync(bundleFile, bundle);
    const args = ['--address', token.address, '--bundle', bundleFile, '--socket', socket()];
    return { ...token, args: [...args, '--token-file', tokenFile] };
  }
  function agentWith(args: readonly string[], state = join(place.path, 'edge')): Agent {
    const agent = new Agent(state, args);
    agents.push(agent);
    return agent;
  }
  async function joined(args: readonly string[]): Promise<Agent> {
    const agent = agentWith(args);
    await agent.says(`serves ${socket()}`);
    return agent;
  }
  async function give(parent: string, changes: Partial<EntryInput> = {}): Promise<string> {
    const added = await bench.link.addEntries([
      {
        spiffe_id: JOB,
        parent_id: parent,
        selectors: [{ type: 'unix', value: `uid:${process.getuid?.()}` }],
        ...changes,
      },
    ]);
    if (!added.ok) throw new Error(added.detail);
    return added.value.entries[0]?.entry.id ?? '';
  }
  /** Waits until the agent has heard of an entry for this process. */
  async function source(): Promise<X509WorkloadSource> {
    const one = await openX509Source({ socketPath: socket() });
    opened.push(one);
    return one;
  }
  function sessionTo() {
    const session = openSession(socket());
    opened.push({ close: () => session.destroy() });
    return session;
  }

  test('it joins, and gives local processes what is registered under it, as it changes', async () => {
    const invited = await invitationByHand();
    const agent = await joined(invited.args);
    expect(agent.out).toContain(`${invited.agentId} serves`);
    // Who is attested on this machine, and nobody's entry matches, gets nothing.
    expect(await fetchOnce(socket())).toBe(GRPC.permissionDenied);
    await give(invited.agentId, { selectors: [{ type: 'unix', value: 'uid:4294967294' }] });
    const id = await give(invited.agentId, { x509_svid_ttl: 600, hint: 'main' });
    // The agent hears of it without being asked, and its streams with it.
    const found = await source();
    expect(found.svid('main').id).toBe(JOB);
    const another = await give(invited.agentId, { spiffe_id: `${JOB}-2` });
    await new Promise<void>((resolve) => found.onUpdate(resolve));
    expect(
      found
        .svids()
        .map((one) => one.id)
        .sort(),
    ).toEqual([JOB, `${JOB}-2`]);
    // Nothing of it is given on the issuer's own machine.
    expect(await fetchOnce(bench.socketPath)).toBe(GRPC.permissionDenied);
    const stream = call(sessionTo(), 'FetchX509SVID');
    expect(readSvids(await stream.next())).toHaveLength(2);
    await bench.link.removeEntry(another);
    expect(readSvids(await stream.next()).map((one) => one.id)).toEqual([JOB]);
    await bench.link.removeEntry(id);
    expect(await stream.status).toBe(GRPC.permissionDenied);
    expect(await agent.end()).toBe(0);
    expect(existsSync(socket())).toBe(false);
  });

  test('tokens come through it too, kept until half of their life is over; they are valid there and here', async () => {
    const invited = await invitation();
    await joined(invited.args);
    await give(invited.agentId, { jwt_svid_ttl: 60 });
    const tokens = await openJwtSource({ socketPath: socket() });
    opened.push(tokens);
    const first = await tokens.token({ audience: 'bank' });
    if (!first.ok) throw new Error(first.detail);
    expect(tokens.validate(first.value.token, 'bank')).toMatchObject({ value: { id: JOB } });
    expect(await tokens.validateAtServer(first.value.token, 'bank')).toMatchObject({ ok: true });
    expect(await tokens.validateAtServer(first.value.token, 'shop')).toMatchObject({ ok: false });
    const rows = bench.issuer.pending(100).map(({ body }) => JSON.parse(body));
    expect(rows.at(-1)).toMatchObject({ kind: 'jwt', spiffe_id: JOB, audience: ['bank'] });
    expect(JSON.stringify(rows)).not.toContain(first.value.token);
  });

  test('its token lets nobody else in, and an ended one lets nobody in', async () => {
    const invited = await invitation();
    await joined(invited.args);
    const args = invited.args.map((one) => (one === socket() ? join(place.path, 'b.sock') : one));
    const thief = agentWith(args, join(place.path, 'thief'));
    expect(await thief.ended).toBe(1);
    expect(lines(thief.err)).toEqual([expect.stringContaining('TOKEN_USED')]);
    expect(existsSync(join(place.path, 'thief', 'node'))).toBe(false);

    const late = await invitation(10);
    ahead = 11_000;
    const slow = agentWith(late.args, join(place.path, 'slow'));
    expect(await slow.ended).toBe(1);
    expect(lines(slow.err)).toEqual([expect.stringContaining('TOKEN_EXPIRED')]);
    expect(existsSync(join(place.path, 'slow', 'node'))).toBe(false);
  });

  test('killed, it goes on as the same node with the same token file, and its workloads find it again', async () => {
    const invited = await invitation();
    const agent = await joined(invited.args);
    const kept = join(place.path, 'edge', 'node', 'node.json');
    expect(statSync(kept).mode & 0o777).toBe(0o600);
    expect(statSync(join(place.path, 'edge', 'node')).mode & 0o777).toBe(0o700);
    await give(invited.agentId);
    const found = await source();
    await agent.end('SIGKILL');
    const again = await joined(invited.args);
    expect(again.out).toContain(invited.agentId);
    expect(again.err).toBe('');
    const svid = readSvids(await call(sessionTo(), 'FetchX509SVID').next())[0];
    expect(svid?.id).toBe(JOB);
    expect(found.svid().id).toBe(JOB);
    // It kept the first one's key: nothing of it is known but to who reads the file.
    expect(readFileSync(kept, 'utf8')).not.toContain(invited.token);
  });

  test('evicted, its streams end, it stops, and what it kept is worth nothing; a new token lets it in', async () => {
    const invited = await invitation();
    const agent = await joined(invited.args);
    await give(invited.agentId);
    await source();
    const stream = call(sessionTo(), 'FetchX509SVID');
    expect(readSvids(await stream.next())[0]?.id).toBe(JOB);
    const listed = await swarmproof('identity', 'nodes');
    expect(listed.out).toContain(invited.agentId);
    const lastPart = invited.agentId.slice(invited.agentId.lastIndexOf('/') + 1);
    const evicted = await swarmproof('identity', 'evict', lastPart.slice(0, 8));
    expect(evicted.out).toContain(`evicted ${invited.agentId}`);
    expect(await stream.status).toBe(GRPC.permissionDenied);
    expect(await agent.ended).toBe(1);
    expect(lines(agent.err).at(-1)).toContain('NODE_UNKNOWN');
    expect((await swarmproof('identity', 'nodes')).out).toContain('no node has joined');
    expect((await swarmproof('identity', 'evict', lastPart)).err).toContain('no node has an ID');

    const back = agentWith(invited.args.slice(0, -2));
    expect(await back.ended).toBe(1);
    expect(lines(back.err)).toEqual([expect.stringContaining('NODE_UNKNOWN')]);
    const anew = await invitation();
    const third = await joined(anew.args);
    expect(third.out).toContain(anew.agentId);
    expect(anew.agentId).not.toBe(invited.agentId);
  });

  test('while the issuer is away, what was given stays, and nothing new is made', async () => {
    const invited = await invitation();
    const agent = await joined(invited.args);
    await give(invited.agentId, { x509_svid_ttl: 600 });
    await source();
    const stream = call(sessionTo(), 'FetchX509SVID');
    const first = readSvids(await stream.next())[0];
    bench.link.close();
    await bench.issuer.close();
    await agent.says('NODE_UNREACHABLE');
    const request = create(JWTSVIDRequestSchema, { audience: ['bank'] });
    const body = encode(JWTSVIDRequestSchema, request);
    const token = call(sessionTo(), 'FetchJWTSVID', { 'workload.spiffe.io': 'true' }, body);
    expect(await token.status).toBe(GRPC.unavailable);
    const same = readSvids(await call(sessionTo(), 'FetchX509SVID').next())[0];
    expect(same?.serial).toBe(first?.serial);
    await bench.start();
    await agent.says('the issuer answers again');
    await give(invited.agentId, { spiffe_id: `${JOB}-2` });
    expect(readSvids(await stream.next())).toHaveLength(2);
  });

  test.each<[string, (args: string[]) => string[], string]>([
    ['an address that is none', (args) => ['--address', 'here', ...args.slice(2)], 'host:port'],
    [
      'an address where nobody is',
      (args) => ['--address', '127.0.0.1:1', ...args.slice(2)],
      'NODE_UNREACHABLE: 127.0.0.1:1',
    ],
    [
      'a bundle that is not there',
      (args) => args.map((one) => (one.endsWith('bundle.json') ? '/nowhere.json' : one)),
      'cannot be read (ENOENT)',
    ],
    ['no token', (args) => args.slice(0, -2), 'NODE_TOKEN_MISSING'],
    [
      'a token that is none',
      (args) => [...args.slice(0, -1), join(args.at(-1) ?? '', '..', 'bundle.json')],
      'TOKEN_UNKNOWN',
    ],
  ])('%s: one line that says so, exit code 1', async (_name, change, why) => {
    const invited = await invitation();
    const agent = agentWith(change(invited.args));
    expect(await agent.ended).toBe(1);
    expect(lines(agent.err)).toEqual([expect.stringContaining(why)]);
    expect(agent.out).toBe('');
    // The token was not used up by it.
    await joined(invited.args);
  });
});
