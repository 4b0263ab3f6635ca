import { describe, expect, test } from 'vitest';
import type { Attestor } from '#identity/attestors/attestor.ts';
import { attest, attestors } from '#identity/attestors/index.ts';
import { createLauncherAttestor } from '#identity/attestors/launcher.ts';
import { makePeer, type Peer } from '#identity/attestors/peer.ts';
import type { ProcessFacts } from '#identity/attestors/proc.ts';
import {
  type AttestationClaims,
  signAttestation,
  signImage,
} from '#identity/issuer/attestation.ts';
import { selectorText } from '#identity/issuer/entry.ts';
import { accept, refuse } from '#identity/outcome.ts';
import { DIGEST, keyPair } from './harness.ts';

const launcherKey = keyPair();
const ci = keyPair();
const FACTS = {
  pid: 100,
  startTime: 5000,
  exe: { path: '/usr/bin/node', dev: '1', ino: '2', ctime: '3' },
  uid: 1000,
  gid: 1000,
};
const peer = (now: ProcessFacts | undefined = FACTS): Peer =>
  makePeer(
    FACTS,
    () => now,
    () => true,
    () => {},
  );
const claims: AttestationClaims = {
  pid: 100,
  startTime: 5000,
  exe: { path: '/usr/bin/node', dev: '1', ino: '2' },
  uid: 1000,
  image: {
    name: 'sensor',
    digest: DIGEST,
    signature: signImage('sensor', DIGEST, ci.privateKey),
    keyId: 'ci-1',
  },
  workload: { spiffeId: 'spiffe://city.example/agent/x', agentType: 'sensor', instance: 'cam-1' },
};

function setUp(changes: Partial<AttestationClaims> = {}) {
  const launcher = createLauncherAttestor(launcherKey.publicKey, new Map([['ci-1', ci.publicKey]]));
  const recorded = launcher.record(
    signAttestation({ ...claims, ...changes }, launcherKey.privateKey),
  );
  const accounts = { user: () => 'ann', group: () => undefined };
  const list = attestors({ launcher, unix: { wanted: () => false, accounts } });
  const selectors = (one = peer()) => {
    const found = attest(list, one);
    if (!found.ok) return found.code;
    // The supplementary groups are those of whatever process has this PID.
    return (
      found.value.unknown?.code ??
      found.value.selectors.map(selectorText).filter((text) => !text.includes('supplementary'))
    );
  };
  return { launcher, recorded, selectors };
}

const ALWAYS = [
  'unix:uid:1000',
  'unix:user:ann',
  'unix:gid:1000',
  'swarm:agent_type:sensor',
  'swarm:instance:cam-1',
];

describe('selectors', () => {
  test('of a launched process with a signed image', () => {
    expect(setUp().selectors()).toEqual([
      ...ALWAYS,
      `swarm:image_digest:${DIGEST}`,
      'swarm:image-signature:verified',
      'swarm:image-signature-subject:ci-1',
    ]);
  });

  const { image } = claims;
  test.each<[string, Partial<AttestationClaims['image']>]>([
    ['unsigned', { signature: '', keyId: '' }],
    ['signed for another name', { signature: signImage('action', DIGEST, ci.privateKey) }],
    ['signed for another digest', { signature: signImage('sensor', 'sha256:0', ci.privateKey) }],
    ['signed by an unknown key', { keyId: 'ci-9' }],
    ['signed by another key', { signature: signImage('sensor', DIGEST, keyPair().privateKey) }],
    [
      'signed with the launcher’s key',
      { signature: signImage('sensor', DIGEST, launcherKey.privateKey) },
    ],
  ])('an image that is %s has no signature selectors', (_name, change) => {
    expect(setUp({ image: { ...image, ...change } }).selectors()).toEqual([
      ...ALWAYS,
      `swarm:image_digest:${DIGEST}`,
    ]);
  });

  test.each<[string, Partial<AttestationClaims>, string]>([
    ['another PID', { pid: 101 }, 'NOT_LAUNCHED'],
    ['another start time: the PID was reused', { startTime: 4999 }, 'NOT_LAUNCHED'],
    ['another path', { exe: { ...claims.exe, path: '/tmp/node' } }, 'EXE_MISMATCH'],
    ['another device', { exe: { ...claims.exe, dev: '9' } }, 'EXE_MISMATCH'],
    ['another inode', { exe: { ...claims.exe, ino: '9' } }, 'EXE_MISMATCH'],
    ['another uid', { uid: 0 }, 'UID_MISMATCH'],
  ])('an attestation of %s gives nothing', (_name, change, code) => {
    expect(setUp(change).selectors()).toBe(code);
    expect(setUp({ uid: undefined }).selectors()).toContain('swarm:instance:cam-1');
  });

  test('a peer that has ended or changed gives nothing, though it was attested', () => {
    const { selectors } = setUp();
    expect(selectors(peer({ ...FACTS, startTime: 5001 }))).toBe('PEER_GONE');
    const changed = { ...FACTS, exe: { ...FACTS.exe, ctime: '4' } };
    expect(selectors(peer(changed))).toBe('PEER_EXEC_CHANGED');
    expect(selectors()).toContain('swarm:instance:cam-1');
  });

  test('an exit is believed for the very process only; a lost link for all', () => {
    const { launcher, selectors } = setUp();
    launcher.exited(100, 4000);
    expect(selectors()).toContain('swarm:instance:cam-1');
    launcher.exited(100, 5000);
    expect(selectors()).toBe('NOT_LAUNCHED');
    const other = setUp();
    other.launcher.forget();
    expect(other.selectors()).toBe('NOT_LAUNCHED');
  });

  test('one attestor’s refusal is the end, whatever the others found', () => {
    const one: Attestor = { name: 'a', attest: () => accept([{ type: 'a', value: 'b' }]) };
    const no: Attestor = { name: 'b', attest: () => refuse('NO_ENTRY', 'no') };
    expect(attest([one], peer())).toMatchObject({ ok: true });
    expect(attest([one, no], peer())).toMatchObject({ code: 'NO_ENTRY' });
    expect(attest([no, one], peer())).toMatchObject({ code: 'NO_ENTRY' });
  });

  test('an attestor that does not know the peer adds nothing, and what the others found stays', () => {
    const one: Attestor = { name: 'a', attest: () => accept([{ type: 'a', value: 'b' }]) };
    const unknown = refuse('NOT_LAUNCHED', 'not mine');
    const other: Attestor = { name: 'b', attest: () => unknown };
    expect(attest([one, other], peer())).toMatchObject({
      ok: true,
      value: { selectors: [{ type: 'a', value: 'b' }], unknown },
    });
  });
});
