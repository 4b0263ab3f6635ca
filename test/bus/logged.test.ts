import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { recordHeaders } from '#bus/client/envelope.ts';
import { openLink } from '#bus/client/link.ts';
import { type NatsConnection, outgoing } from '#bus/client/nats.ts';
import type { Verified } from '#bus/verified.ts';
import { createStandingBook, type StandingBook } from '#custody/log/standing.ts';
import { signStatement } from '#custody/log/statement.ts';
import { createRecordSigner } from '#custody/record/sign.ts';
import type { X509Svid } from '#identity/svid.ts';
import { noteSigner } from '#test/custody/log/support.ts';
import { MEMBERS, randomOf, startSwarm, type TestSwarm } from '#test/support/swarm.ts';

/**
 * The thief has the authority's key: `swarm.ca` signs whatever it is asked, and every certificate here
 * verifies. What it has not is the attester's key.
 */
const attester = noteSigner('city.example/attester');
const ANALYZERS = 'spiffe://city.example/agent/analyzer/north/*';
const BROKER = { user: 'broker', password: 'reads-and-writes-everything' };

function statementOf({ id, thumbprint, serial, notBefore, notAfter }: X509Svid): string {
  const seconds = (date: Date) => Math.floor(date.getTime() / 1000);
  const life = { nbf: seconds(notBefore), exp: seconds(notAfter) };
  const claims = { kind: 'issuance', id, thumbprint, serial, ...life, selectors: [] } as const;
  return signStatement(claims, [attester]);
}

function revocationOf({ thumbprint }: X509Svid): string {
  return signStatement({ kind: 'revocation', thumbprint, reason: 'entry removed' }, [attester]);
}

let swarm: TestSwarm;
let book: StandingBook;
/** Called when somebody begins to wait for a certificate. */
let waited: (thumbprint: string) => void = () => {};

beforeAll(async () => {
  const made = createStandingBook({ attesters: [attester.verifier], clock: Date.now });
  const watch: StandingBook['watch'] = (thumbprint, listener) => {
    const stop = made.watch(thumbprint, listener);
    waited(thumbprint);
    return stop;
  };
  book = { ...made, watch };
  swarm = await startSwarm({ standing: book, staticUsers: [BROKER] });
  book.add([statementOf((await swarm.source(MEMBERS.supervisor)).svid())]);
  await swarm.streams();
});
afterAll(() => swarm?.stop());

const nextWaiting = () =>
  new Promise<string>((resolve) => {
    waited = resolve;
  });

describe('the gate', () => {
  const attempt = (source: Awaited<ReturnType<TestSwarm['source']>>) =>
    openLink({ ...swarm.connection(source), firstConnectMs: 0 });
  /**
   * What is refused is told by the gate. Its client may not hear the broker's last word, where it
   * comes together with the connection's end: then it is at its own end that it gives up.
   */
  const refused = (source: Awaited<ReturnType<TestSwarm['source']>>) =>
    expect(attempt(source)).rejects.toThrow(/cannot connect/);

  test('lets an SVID in that is stated as issued', async () => {
    const source = await swarm.source(MEMBERS.camera);
    book.add([statementOf(source.svid())]);
    await (await attempt(source)).close();
    expect(swarm.decisions.at(-1)).toMatchObject({ ok: true });
  });

  test('refuses a thief of the authority’s key, who has a valid SVID of a member', async () => {
    const before = swarm.decisions.length;
    await refused(await swarm.source(MEMBERS.camera));
    expect(swarm.decisions.slice(before)).toMatchObject([{ code: 'GATE_SVID_NOT_LOGGED' }]);
  });

  test('refuses the thief for the identities, too, that are there before there is a ledger', async () => {
    for (const member of [MEMBERS.ledger, MEMBERS.supervisor]) {
      const permissions = swarm.permissions.get(MEMBERS.ledger.id);
      if (permissions !== undefined) swarm.permissions.set(member.id, permissions);
      await refused(await swarm.source(member));
      expect(swarm.decisions.at(-1)).toMatchObject({ code: 'GATE_SVID_NOT_LOGGED' });
    }
  });

  test('waits for a statement that is on its way: one attempt is enough', async () => {
    const before = swarm.decisions.length;
    const source = await swarm.source(MEMBERS.camera);
    const waiting = nextWaiting();
    const link = attempt(source);
    expect(await waiting).toBe(source.svid().thumbprint);
    expect(swarm.decisions).toHaveLength(before);
    book.add([statementOf(source.svid())]);
    await (await link).close();
    expect(swarm.decisions.slice(before)).toMatchObject([{ ok: true }]);
  });

  test('lets honest members in while many wait who will never be stated', async () => {
    const rogues = await Promise.all(
      Array.from({ length: 20 }, () => swarm.source(MEMBERS.camera)),
    );
    const before = swarm.decisions.length;
    let left = rogues.length;
    const allWait = new Promise<void>((resolve) => {
      waited = () => {
        left -= 1;
        if (left === 0) resolve();
      };
    });
    const allRefused = Promise.all(rogues.map(refused));
    const honest = await swarm.source(MEMBERS.camera2);
    book.add([statementOf(honest.svid())]);
    await allWait;
    await (await attempt(honest)).close();
    const late = await swarm.source(MEMBERS.camera2);
    const link = attempt(late);
    book.add([statementOf(late.svid())]);
    await (await link).close();
    await allRefused;
    // Each of the two honest ones had a single attempt.
    const decisions = swarm.decisions.slice(before);
    expect(decisions.filter(({ ok }) => ok)).toHaveLength(2);
    expect(decisions.filter(({ ok }) => !ok)).toHaveLength(rogues.length);
  });

  test('does not take a statement for another identity', async () => {
    const source = await swarm.source(MEMBERS.camera);
    book.add([statementOf({ ...source.svid(), id: MEMBERS.camera2.id })]);
    await refused(source);
    expect(swarm.decisions.at(-1)).toMatchObject({ code: 'GATE_SVID_NOT_LOGGED' });
  });

  test('refuses an SVID that is revoked, and lets the next of the same identity in', async () => {
    const [old, next] = [await swarm.source(MEMBERS.camera), await swarm.source(MEMBERS.camera)];
    book.add([statementOf(old.svid()), revocationOf(old.svid()), statementOf(next.svid())]);
    await refused(old);
    expect(swarm.decisions.at(-1)).toMatchObject({ code: 'GATE_SVID_REVOKED' });
    await (await attempt(next)).close();
  });
});

describe('the door', () => {
  /** The thief has found a way past the gate: it speaks through the broker itself. */
  let broker: NatsConnection;
  beforeAll(async () => {
    const { connect } = await import('@nats-io/transport-node');
    const { clientTls } = await import('#identity/tls.ts');
    const { source, brokerId, url } = swarm.connection(await swarm.source(MEMBERS.camera));
    const tls = clientTls(source, brokerId);
    broker = await connect({ servers: url, tls, user: BROKER.user, pass: BROKER.password });
  });
  afterAll(() => broker?.close());

  function say(svid: X509Svid, member = MEMBERS.camera): void {
    const subject = `north.reading.${member.token}`;
    const payload = Buffer.from(`by ${svid.thumbprint}`);
    const signer = createRecordSigner({ source: () => svid, clock: Date.now, random: randomOf });
    const record = signer.sign({ aud: [ANALYZERS], sbj: subject, knd: 'root', payload });
    broker.publish(subject, payload, { headers: outgoing(recordHeaders(record, { chain: true })) });
  }

  async function listening(standing: StandingBook | undefined) {
    const own = await swarm.source(MEMBERS.analyzer);
    book.add([statementOf(own.svid())]);
    const { client, refusals } = await swarm.client(MEMBERS.analyzer, {
      source: own,
      // No test waits for the end of that: what is waited for comes, or the client closes.
      ...(standing && { standing: { ...standing, patienceMs: 60_000 } }),
    });
    const got: string[] = [];
    let wake = () => {};
    client.consume({
      kind: 'reading',
      handler: ({ payload }: Verified<Uint8Array>) => {
        got.push(Buffer.from(payload).toString());
        wake();
      },
    });
    const heard = async (svid: X509Svid) => {
      while (!got.includes(`by ${svid.thumbprint}`)) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    };
    await client.link.flush();
    return { client, refusals, got, heard };
  }

  test('refuses a record under a certificate of the thief, and takes the honest one', async () => {
    const rogue = (await swarm.source(MEMBERS.camera)).svid();
    const honest = (await swarm.source(MEMBERS.camera2)).svid();
    book.add([statementOf(honest)]);
    const { client, refusals, got, heard } = await listening(book);
    const waiting = nextWaiting();
    say(rogue);
    await waiting;
    // While it waits for a statement that never comes, others are heard at once.
    say(honest, MEMBERS.camera2);
    await heard(honest);
    expect(refusals).toEqual([]);
    await client.close();
    expect(refusals).toMatchObject([
      { code: 'RECORD_SVID_NOT_LOGGED', presentedBy: MEMBERS.camera.token, signedBy: undefined },
    ]);
    expect(got).toEqual([`by ${honest.thumbprint}`]);
  });

  test('takes the rogue record where this is not asked: the refusal is this check’s', async () => {
    const rogue = (await swarm.source(MEMBERS.camera)).svid();
    const { client, refusals, heard } = await listening(undefined);
    say(rogue);
    await heard(rogue);
    expect(refusals).toEqual([]);
    await client.close();
  });

  test('waits for a statement that is on its way, and keeps the sender’s order', async () => {
    const svids = [
      (await swarm.source(MEMBERS.camera)).svid(),
      (await swarm.source(MEMBERS.camera)).svid(),
    ] as const;
    const { client, refusals, got, heard } = await listening(book);
    const waiting = nextWaiting();
    say(svids[0]);
    await waiting;
    book.add([statementOf(svids[1])]);
    say(svids[1]);
    await broker.flush();
    book.add([statementOf(svids[0])]);
    await heard(svids[1]);
    expect(got).toEqual(svids.map(({ thumbprint }) => `by ${thumbprint}`));
    expect(refusals).toEqual([]);
    await client.close();
  });

  test('refuses a record under a revoked certificate', async () => {
    const svid = (await swarm.source(MEMBERS.camera)).svid();
    book.add([statementOf(svid)]);
    const { client, refusals, heard } = await listening(book);
    say(svid);
    await heard(svid);
    book.add([revocationOf(svid)]);
    const next = (await swarm.source(MEMBERS.camera)).svid();
    book.add([statementOf(next)]);
    say(svid);
    say(next);
    await heard(next);
    expect(refusals).toMatchObject([{ code: 'RECORD_SVID_REVOKED' }]);
    await client.close();
  });
});
