import { createPublicKey } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { duplexPair } from 'node:stream';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createLives } from '#cli/wiring/lives.ts';
import { createStatements, type Statements } from '#cli/wiring/statements.ts';
import { openStatement } from '#custody/log/statement.ts';
import { readProcess } from '#identity/attestors/proc.ts';
import { type Issuer, startIssuer } from '#identity/issuer/issuer.ts';
import { type AttestationClaims, signImage } from '#identity/issuer/launcher-link.ts';
import type { LogRow } from '#identity/issuer/log.ts';
import { createIssuerLink, type IssuerLink } from '#runtime/launcher/issuer-link.ts';
import { noteSigner } from '#test/custody/log/support.ts';
import { DIGEST, keyPair, sensorEntry, TRUST_DOMAIN } from '#test/identity/issuer/harness.ts';
import { fetchOnce } from '#test/identity/issuer/raw-client.ts';

/**
 * A real issuer on its own state, the launcher's link to it, and the attester: what is issued to this
 * very process must reach the ledger, whoever of them dies in between.
 */
const attester = noteSigner('city.example/attester');
const ci = keyPair();
const ID = sensorEntry().spiffe_id;

interface Run {
  readonly link: IssuerLink;
  readonly statements: Statements;
  readonly ledger: string[];
  readonly alarms: string[];
  issuer: Issuer;
}

let folder: string;
let runs: Run[];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'issuance-'));
  runs = [];
});
afterEach(async () => {
  for (const run of runs) await end(run);
  rmSync(folder, { recursive: true });
});

const socketPath = () => join(folder, 'api.sock');

/** Another issuer process on the same state, with the next end of the link. */
async function issuerOf(link: IssuerLink, clock = Date.now): Promise<Issuer> {
  const [near, far] = duplexPair();
  const key = Buffer.from(link.publicKey, 'base64');
  const issuer = await startIssuer({
    stateDir: join(folder, 'state'),
    socketPath: socketPath(),
    trustDomain: TRUST_DOMAIN,
    link: far,
    launcherKey: createPublicKey({ key, format: 'der', type: 'spki' }),
    ciKeys: new Map([['ci-1', ci.publicKey]]),
    limits: { graceMs: 100 },
    mintable: [ID],
    clock: () => new Date(clock()),
  });
  const attached = await link.attach(near);
  if (!attached.ok) throw new Error(attached.detail);
  return issuer;
}

function claims(): AttestationClaims {
  const facts = readProcess(process.pid);
  if (facts === undefined) throw new Error('no process');
  const { path, dev, ino } = facts.exe;
  const signature = signImage('sensor', DIGEST, ci.privateKey);
  return {
    pid: process.pid,
    startTime: facts.startTime,
    exe: { path, dev, ino },
    image: { name: 'sensor', digest: DIGEST, signature, keyId: 'ci-1' },
    workload: { spiffeId: ID, agentType: 'sensor', instance: 'cam-1' },
  };
}

/** A launcher and all that it starts. */
async function launch(clock = Date.now): Promise<Run> {
  const link = createIssuerLink();
  await link.setEntries([sensorEntry()] as never);
  const lives = createLives(clock);
  const ledger: string[] = [];
  const alarms: string[] = [];
  const statements = createStatements({
    signer: attester,
    lives,
    issuer: link,
    isMember: (id) => id === ID,
    bootstrap: new Set(),
    toLedger: (note) => ledger.push(note),
    toJudges: () => {},
    alarm: (code) => alarms.push(code),
    clock,
  });
  link.onEvent(({ event }) => {
    if (event === 'outbox') statements.look();
  });
  link.onAttached(() => statements.look());
  link.onMinted(lives.minted);
  const issuer = await issuerOf(link, clock);
  const run = { link, statements, ledger, alarms, issuer };
  runs.push(run);
  lives.attested(claims());
  const told = await link.attest(claims());
  if (!told.ok) throw new Error(told.detail);
  return run;
}

async function end(run: Run): Promise<void> {
  runs = runs.filter((one) => one !== run);
  run.statements.close();
  run.link.close();
  await run.issuer.close();
}

/** What the issuer itself still has for the ledger. */
const outbox = ({ issuer }: Run): readonly LogRow[] => issuer.pending(100);

async function eventually(happened: () => boolean): Promise<void> {
  while (!happened()) await new Promise((resolve) => setTimeout(resolve, 5));
}

function serials(notes: readonly string[]): string[] {
  return notes.map((note) => {
    const statement = openStatement(note, [attester.verifier], 1);
    if (!statement.ok || statement.value.kind !== 'issuance') throw new Error('no issuance');
    return statement.value.serial;
  });
}
const serialOf = (row: LogRow): string => JSON.parse(row.body).serial;

test('what was issued stays in the outbox until the ledger holds it', async () => {
  const run = await launch();
  expect(await fetchOnce(socketPath())).toEqual([ID]);
  await eventually(() => run.ledger.length === 1);
  expect(serials(run.ledger)).toEqual(outbox(run).map(serialOf));
  run.statements.entered(run.ledger[0] ?? '');
  await eventually(() => outbox(run).length === 0);
  expect(run.alarms).toEqual([]);
});

test('what is minted for a key of the launcher is vouched for, even if its row is read in the same moment', async () => {
  const run = await launch();
  const publicKey = keyPair().publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
  const mint = () => run.link.mint({ spiffeId: ID, publicKey, ttl: 60 });
  for (let round = 1; round <= 20; round += 1) {
    // One chunk on the link: the row is read by a question that was asked with the one that makes it.
    const minted = mint();
    run.statements.look();
    expect((await minted).ok).toBe(true);
    await eventually(() => run.ledger.length + run.alarms.length >= round);
  }
  expect(run.alarms).toEqual([]);
  expect(serials(run.ledger)).toEqual(outbox(run).map(serialOf));
});

test('an issuer that dies before the ledger holds it has it for the ledger afterwards', async () => {
  const run = await launch();
  await fetchOnce(socketPath());
  await eventually(() => run.ledger.length === 1);
  const [before] = outbox(run);
  await run.issuer.close();
  run.issuer = await issuerOf(run.link);
  expect(outbox(run)).toEqual([before]);
  await fetchOnce(socketPath());
  await eventually(() => run.ledger.length === 2);
  for (const note of run.ledger) run.statements.entered(note);
  await eventually(() => outbox(run).length === 0);
  expect(new Set(serials(run.ledger)).size).toBe(2);
});

test('a launcher that begins anew on the same state passes over what it did not attest, and goes on', async () => {
  const first = await launch();
  await fetchOnce(socketPath());
  await eventually(() => first.ledger.length === 1);
  await end(first);
  // Rows count whole seconds: the next launcher begins in another one.
  const second = await launch(() => Date.now() + 2000);
  await fetchOnce(socketPath());
  await eventually(() => second.ledger.length === 1);
  expect(serials(second.ledger)).not.toEqual(serials(first.ledger));
  second.statements.entered(second.ledger[0] ?? '');
  await eventually(() => outbox(second).length === 0);
  expect(second.alarms).toEqual([]);
});

test('an issuer that issues to a process that nobody started is found out', async () => {
  const run = await launch();
  // By its own word: the launcher never stated this process, as the attester remembers.
  const stranger = createLives(Date.now);
  const alarms: string[] = [];
  const ledger: string[] = [];
  const attesterAlone = createStatements({
    signer: attester,
    lives: stranger,
    issuer: run.link,
    isMember: (id) => id === ID,
    bootstrap: new Set(),
    toLedger: (note) => ledger.push(note),
    toJudges: () => {},
    alarm: (code) => alarms.push(code),
    clock: Date.now,
  });
  await fetchOnce(socketPath());
  attesterAlone.look();
  await eventually(() => alarms.length === 1);
  expect([alarms, ledger]).toEqual([['ISSUANCE_NOT_ATTESTED'], []]);
  attesterAlone.close();
});
