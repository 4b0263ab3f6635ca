import { connect as connectTcp } from 'node:net';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseViolation, type Violation } from '#bus/violation.ts';
import { spiffeId } from '#identity/spiffe-id.ts';
import { clientTls } from '#identity/tls.ts';
import { MEMBERS, startSwarm, type TestSwarm } from '#test/support/swarm.ts';

const CAM = MEMBERS.camera.id;
const VICTIM = MEMBERS.action.id;
const HEAD = '[7] 2026/01/01 10:00:00.000001 [ERR] 127.0.0.1:5 - cid:8 - ';
const line = (connect: string, tail: string) =>
  `${HEAD}"${connect}" - "SWARM/user:${CAM}" - ${tail}`;

describe('a line of the log', () => {
  const told: readonly (readonly [string, string, Violation])[] = [
    [
      'a message',
      line('v1:js:x', 'Publish Violation - Subject "svc.mcp.action-action-1"'),
      { kind: 'publish', id: CAM, subject: 'svc.mcp.action-action-1' },
    ],
    [
      'a reply subject',
      line('v1:js:x', 'Publish Violation - Reply "$JS.ACK.x"'),
      { kind: 'publish', id: CAM, subject: '$JS.ACK.x' },
    ],
    [
      'a subscription in a queue',
      line('v1:js:x', String.raw`Subscription Violation - Subject "svc.>", Queue: "q\"", SID 3`),
      { kind: 'subscribe', id: CAM, subject: 'svc.>' },
    ],
    [
      'as older servers write it',
      `${HEAD}"v1:js:x" - Publish Violation - User "${CAM}", Subject "a.b"`,
      { kind: 'publish', id: CAM, subject: 'a.b' },
    ],
    [
      'a subject that CONNECT has eaten',
      line('v%[1]s', 'Publish Violation - Subject %!q(BADINDEX)'),
      { kind: 'publish', id: CAM, subject: '?' },
    ],
    [
      'a subject of odd bytes',
      line('v1', String.raw`Publish Violation - Subject "a\"\x1b[31mé"`),
      { kind: 'publish', id: CAM, subject: String.raw`a"\x1b[31m?` },
    ],
  ];
  test.each(told)('tells of %s', (_what, text, violation) => {
    expect(parseViolation(text)).toEqual(violation);
  });

  const marker = `"SWARM/user:${VICTIM}" - Publish Violation - Subject "x"`;
  test.each([
    ['another line', `${HEAD}"v1" - "SWARM/user:${CAM}" - Client parser ERROR`],
    ['an error that ends in what was sent', line('v1', `proto='${marker}...'`)],
    ['one that CONNECT wrote into another error', line(`v" - ${marker}`, 'maximum exceeded')],
    ['a user of another account', `${HEAD}"v1" - "AUTH/user:x" - Publish Violation - Subject "x"`],
    ['another level', line('v1', 'Publish Violation - Subject "x"').replace('ERR', 'DBG')],
    ['a line too long to be honest', line('x'.repeat(5000), 'Publish Violation - Subject "x"')],
    ['no line of a server', marker],
  ])('is not believed: %s', (_what, text) => {
    expect(parseViolation(text)).toBeUndefined();
  });

  test('names whom the gate named, whatever CONNECT says before it', () => {
    for (const connect of [marker, `v" - ${marker} - "`, `v\\" - \\${marker}`]) {
      const text = line(connect, 'Publish Violation - Subject "y"');
      expect(parseViolation(text)).toEqual({ kind: 'publish', id: CAM, subject: 'y' });
    }
  });
});

describe('the log of a real server', () => {
  let swarm: TestSwarm;
  beforeAll(async () => {
    swarm = await startSwarm();
  });
  afterAll(() => swarm?.stop());

  /** Speaks the protocol itself: a client library would send no such CONNECT. */
  async function raw(options: object, commands: readonly string[]): Promise<string> {
    const { source, url, brokerId } = swarm.connection(await swarm.source(MEMBERS.camera));
    const tcp = connectTcp(Number(new URL(url).port), '127.0.0.1');
    await new Promise((resolve) => tcp.once('data', resolve));
    const { cert, key, ca } = clientTls(source, spiffeId(brokerId), () => new Date());
    const tls: TLSSocket = connectTls({
      socket: tcp,
      ...(cert !== undefined && { cert }),
      ...(key !== undefined && { key }),
      ...(ca !== undefined && { ca }),
      checkServerIdentity: () => undefined,
    });
    let heard = '';
    tls.on('data', (data) => {
      heard += data.toString();
      // The answer to PING comes after all that was said before it.
      if (heard.includes('PONG')) tls.destroy();
    });
    tls.on('error', () => {});
    tls.write(`CONNECT ${JSON.stringify({ verbose: false, tls_required: true, ...options })}\r\n`);
    for (const command of commands) tls.write(command);
    tls.write('PING\r\n');
    await new Promise((resolve) => tls.once('close', resolve));
    return heard;
  }
  const violations = (since: number) =>
    swarm.broker
      .log()
      .slice(since)
      .split('\n')
      .flatMap((text) => parseViolation(text) ?? []);
  const pub = (subject: string) => `PUB ${subject} 2\r\nhi\r\n`;

  test('every denial is read, with the member that the gate let in and the subject', async () => {
    const since = swarm.broker.log().length;
    const odd = 'a"b-%s-é';
    await raw({ lang: 'raw', version: '1' }, [
      pub('svc.mcp.action-action-1'),
      pub(odd),
      'SUB svc.mcp.> 1\r\n',
      `SUB > q",\u00a0SID 2%s\r\n`,
    ]);
    expect(violations(since)).toEqual([
      { kind: 'publish', id: CAM, subject: 'svc.mcp.action-action-1' },
      { kind: 'publish', id: CAM, subject: 'a"b-%s-?' },
      { kind: 'subscribe', id: CAM, subject: 'svc.mcp.>' },
      { kind: 'subscribe', id: CAM, subject: '>' },
    ]);
  });

  const forged = `1%[1]s - %[1]sSWARM/user:${VICTIM}%[1]s - Publish Violation - Subject %[1]sx`;
  test.each([
    ['another member in the words of a denial', forged],
    ['a line of its own', `1\n${HEAD}"SWARM/user:${VICTIM}" - Publish Violation - Subject "x"`],
    ['what eats the subject', '1%[1]s'],
  ])('CONNECT with %s does not get in', async (_what, version) => {
    const since = swarm.broker.log().length;
    const before = swarm.decisions.length;
    expect(await raw({ lang: 'raw', version }, [pub('"')])).toContain('Authorization Violation');
    expect(swarm.decisions[before]).toMatchObject({ ok: false, code: 'GATE_CONNECT_CONTRADICTS' });
    expect(violations(since)).toEqual([]);
    // The same client gets in when it names itself plainly.
    expect(await raw({ lang: 'raw', version: '1' }, [])).toContain('PONG');
  });

  test('a parser error that quotes the attacker names nobody', async () => {
    const since = swarm.broker.log().length;
    const text = `"SWARM/user:${VICTIM}" - Publish Violation - Subject "x"`;
    await raw({ lang: 'raw', version: '1' }, [`XX ${text}\r\n`]);
    expect(swarm.broker.log().slice(since)).toContain('parser ERROR');
    expect(violations(since)).toEqual([]);
  });
});
