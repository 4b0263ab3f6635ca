import { duplexPair } from 'node:stream';
import { afterEach, expect, test } from 'vitest';
import { accept, refuse } from '#identity/outcome.ts';
import { createIssuerLink, type IssuerLink } from '#runtime/launcher/issuer-link.ts';

const links: IssuerLink[] = [];
afterEach(() => {
  for (const link of links.splice(0)) link.close();
});

/** A launcher, and issuers that take entries and nothing else. */
function setUp() {
  const launcher = createIssuerLink();
  links.push(launcher);
  let die = (): void => {};
  const attach = async (): Promise<void> => {
    const [near, far] = duplexPair();
    die = () => far.destroy();
    far.once('data', () => far.write('{"ref":1,"ok":true,"value":{}}\n'));
    expect(await launcher.attach(near)).toMatchObject({ ok: true });
  };
  return { launcher, attach, die: () => die() };
}

test('a question that an issuer died of is put to two more, and not to a fourth', async () => {
  const { launcher, attach, die } = setUp();
  const asked: number[] = [];
  await attach();
  const answer = launcher.administer(async () => {
    asked.push(asked.length + 1);
    die();
    if (asked.length < 3) setImmediate(attach);
    return refuse('LINK_CLOSED', 'the issuer is gone');
  });
  expect(await answer).toMatchObject({ code: 'LINK_CLOSED', detail: expect.stringContaining('3') });
  expect(asked).toEqual([1, 2, 3]);
  // It is about that question: the next issuer answers others.
  await attach();
  expect(await launcher.administer(async () => accept('yes'))).toEqual({ ok: true, value: 'yes' });
});

test('a question that was interrupted once is answered by the next issuer', async () => {
  const { launcher, attach, die } = setUp();
  await attach();
  let asked = 0;
  const answer = launcher.administer(async () => {
    asked += 1;
    if (asked > 1) return accept('yes');
    die();
    setImmediate(attach);
    return refuse('LINK_CLOSED', 'the issuer is gone');
  });
  expect(await answer).toEqual({ ok: true, value: 'yes' });
});

test('what waits for an issuer waits no longer when it is released', async () => {
  const { launcher } = setUp();
  const answer = launcher.administer(async () => accept('yes'));
  launcher.release();
  expect(await answer).toMatchObject({ code: 'LINK_CLOSED' });
});
