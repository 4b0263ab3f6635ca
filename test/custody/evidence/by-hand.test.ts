import { describe, expect, it } from 'vitest';
import { formatTrust } from '#custody/evidence/trust.ts';
import { createTestSwarm, IDS, reading, testClock } from '../support.ts';
import { byHand, TOOLS_MISSING } from './by-hand.ts';
import { createCase, createEvidenceLedger, trustOf } from './support.ts';

describe.skipIf(TOOLS_MISSING)('the commands of docs/custody.md', () => {
  it('verify a record, its payload, its certificate, checkpoint, witnesses and place', async () => {
    const swarm = await createTestSwarm({ clock: testClock(Math.floor(Date.now() / 1000) * 1000) });
    const made = await createCase(swarm);
    made.witness();
    const trust = formatTrust(trustOf(swarm));
    const text = made.file({ action: made.act.id });
    const time = Math.floor(swarm.clock() / 1000);
    const good = byHand(text, trust);
    for (const line of [
      'id: OK',
      'leaf.pem: OK',
      `sender: ${IDS.action}`,
      'Verified OK',
      'payload: OK',
      'jose: custody+jwt svc.mcp.action-action-1',
      'Signature Verified Successfully',
      `witness: city.example/w1 at ${time}`,
      `witness: city.example/w2 at ${time}`,
      'inclusion: OK',
    ]) {
      expect(good).toContain(line);
    }
    const [file] = [JSON.parse(text)];
    const entry = file.entries.find(({ id }: { id: string }) => id === made.act.id);
    const [head, claims, signature] = entry.entry.jws.split('.');
    entry.payload = Buffer.from('altered').toString('base64');
    entry.entry.jws = `${head}.${claims}.${[...signature].reverse().join('')}`;
    file.checkpoints[0].note = file.checkpoints[0].note.replace('\n3\n', '\n4\n');
    entry.size = 4;
    const bad = byHand(JSON.stringify(file), trust);
    for (const line of [
      'Verified OK',
      'payload: OK',
      'Signature Verified Successfully',
      'inclusion: OK',
    ]) {
      expect(bad).not.toContain(line);
    }
    expect(bad.some((line) => line.startsWith('jose:') || line.startsWith('witness:'))).toBe(false);
    expect(bad).toContain('leaf.pem: OK');
  });

  it('verify a record that was signed in a batch, and that the batch holds it', async () => {
    const swarm = await createTestSwarm({ clock: testClock(Math.floor(Date.now() / 1000) * 1000) });
    const made = createEvidenceLedger(swarm);
    const payloads = ['a', 'b', 'c', 'd', 'e'];
    const batch = swarm.signer('sensor').signBatch(payloads.map((payload) => reading(payload)));
    for (const [index, record] of batch.entries()) await made.submit(record, payloads[index]);
    made.witness();
    const trust = formatTrust(trustOf(swarm));
    for (const { id } of batch.filter((_, index) => index === 2 || index === 4)) {
      const good = byHand(made.file({ action: id }), trust);
      for (const line of ['id: OK', 'batch: OK', 'Verified OK', 'payload: OK', 'inclusion: OK']) {
        expect(good).toContain(line);
      }
      expect(good.find((line) => line.startsWith('jose: '))).toMatch(/^jose: custody-batch\+jwt /);
    }
    const [, , third] = batch;
    const moved = made.file({ ...(third && { action: third.id }) }).replaceAll('~2~', '~3~');
    expect(byHand(moved, trust)).not.toContain('batch: OK');
  });
});
