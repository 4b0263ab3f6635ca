import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { duplexPair } from 'node:stream';
import { readProcess } from '#identity/attestors/proc.ts';
import { type EntryInput, type EntryRules, parseEntry } from '#identity/issuer/entry.ts';
import { type Issuer, type IssuerOptions, startIssuer } from '#identity/issuer/issuer.ts';
import {
  type AttestationClaims,
  connectLauncherLink,
  type LauncherLink,
  signImage,
} from '#identity/issuer/launcher-link.ts';

export const TRUST_DOMAIN = 'city.example';
export const DIGEST = `sha256:${'ab'.repeat(32)}`;
const CHILD = new URL('./child.ts', import.meta.url).pathname;

export function keyPair(): { publicKey: KeyObject; privateKey: KeyObject } {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

/** The entry that a sensor of the swarm file gets. */
export function sensorEntry(changes: Partial<EntryInput> = {}): EntryInput {
  return {
    spiffe_id: `spiffe://${TRUST_DOMAIN}/agent/sensor/north/cam-1`,
    selectors: [
      { type: 'swarm', value: 'agent_type:sensor' },
      { type: 'swarm', value: 'instance:cam-1' },
      { type: 'swarm', value: 'image-signature:verified' },
    ],
    x509_svid_ttl: 20,
    ...changes,
  };
}

/** What an entry is held to where nothing is federated. */
export function rules(now = new Date()): EntryRules {
  return { trustDomain: TRUST_DOMAIN, now, federated: () => false };
}

/** `sensorEntry` as the store has it. */
export function storedEntry(changes: Partial<EntryInput> = {}, now = new Date()) {
  const entry = parseEntry(sensorEntry(changes), rules(now));
  if (!entry.ok) throw new Error(entry.detail);
  return entry.value;
}

export interface Report {
  readonly svids?: { id: string; serial: string }[];
  readonly status?: number | string;
}

/** A child process of `child.ts` and what it reports, in order. */
export class Workload {
  readonly child: ChildProcess;
  readonly #reports: Report[] = [];
  #wake = Promise.withResolvers<void>();

  constructor(options: SpawnOptions = {}, node: readonly string[] = [], path = process.execPath) {
    this.child = spawn(path, [...node, CHILD], {
      stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      ...options,
    });
    this.child.on('message', (message: Report) => {
      this.#reports.push(message);
      this.#wake.resolve();
      this.#wake = Promise.withResolvers<void>();
    });
  }

  get pid(): number {
    if (this.child.pid === undefined) throw new Error('the child did not start');
    return this.child.pid;
  }

  connect(path: string): void {
    this.child.send(path);
  }

  async next(): Promise<Report> {
    for (;;) {
      const report = this.#reports.shift();
      if (report !== undefined) return report;
      await this.#wake.promise;
    }
  }

  async kill(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const gone = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill('SIGKILL');
    await gone;
  }
}

/** An issuer on a temporary folder with the launcher's end of its link in this process. */
export class Bench {
  readonly folder = mkdtempSync(join(tmpdir(), 'issuer-'));
  readonly socketPath = join(this.folder, 'api.sock');
  readonly launcher = keyPair();
  readonly ci = keyPair();
  readonly workloads: Workload[] = [];
  readonly #denials = new Map<number, string>();
  #issuer: Issuer | undefined;
  #link: LauncherLink | undefined;

  async start(options: Partial<IssuerOptions> = {}): Promise<Issuer> {
    const [near, far] = duplexPair();
    this.#issuer = await startIssuer({
      stateDir: join(this.folder, 'state'),
      socketPath: this.socketPath,
      trustDomain: TRUST_DOMAIN,
      link: far,
      launcherKey: this.launcher.publicKey,
      ciKeys: new Map([['ci-1', this.ci.publicKey]]),
      limits: { graceMs: 300 },
      mintable: [`spiffe://${TRUST_DOMAIN}/platform/nats`],
      ...options,
    });
    this.#link = connectLauncherLink(near, this.launcher.privateKey);
    this.#link.on('denied', ({ pid, detail }) => this.#denials.set(pid, detail));
    return this.#issuer;
  }

  get issuer(): Issuer {
    if (this.#issuer === undefined) throw new Error('not started');
    return this.#issuer;
  }

  get link(): LauncherLink {
    if (this.#link === undefined) throw new Error('not started');
    return this.#link;
  }

  /** The stable code with which the launcher was told that a process got nothing. */
  async denialOf(pid: number): Promise<string | undefined> {
    // An answered request shows that every event before it has arrived.
    await this.link.bundle();
    return this.#denials.get(pid)?.split(':')[0];
  }

  /** What an honest launcher states of a process that it has just spawned. */
  claims(pid: number, changes: Partial<AttestationClaims> = {}): AttestationClaims {
    const facts = readProcess(pid);
    if (facts === undefined) throw new Error(`no process ${pid}`);
    const { path, dev, ino } = facts.exe;
    return {
      pid,
      startTime: facts.startTime,
      exe: { path, dev, ino },
      image: {
        name: 'sensor',
        digest: DIGEST,
        signature: signImage('sensor', DIGEST, this.ci.privateKey),
        keyId: 'ci-1',
      },
      workload: {
        spiffeId: `spiffe://${TRUST_DOMAIN}/agent/sensor/north/cam-1`,
        agentType: 'sensor',
        instance: 'cam-1',
      },
      ...changes,
    };
  }

  spawn(options: SpawnOptions = {}, node: readonly string[] = []): Workload {
    const workload = new Workload(options, node);
    this.workloads.push(workload);
    return workload;
  }

  /** A child that a copy of Node runs. */
  spawnWith(path: string): Workload {
    const workload = new Workload({}, [], path);
    this.workloads.push(workload);
    return workload;
  }

  /** Spawned and attested as the launcher does it. */
  async launch(
    changes: Partial<AttestationClaims> = {},
    options: SpawnOptions = {},
  ): Promise<Workload> {
    const workload = this.spawn(options);
    const attested = await this.link.attest(this.claims(workload.pid, changes));
    if (!attested.ok) throw new Error(attested.detail);
    return workload;
  }

  /** Attests this test's own process, for calls made from here. */
  async attestSelf(changes: Partial<AttestationClaims> = {}): Promise<void> {
    const attested = await this.link.attest(this.claims(process.pid, changes));
    if (!attested.ok) throw new Error(attested.detail);
  }

  async stop(): Promise<void> {
    for (const workload of this.workloads) await workload.kill();
    this.#link?.close();
    await this.#issuer?.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
