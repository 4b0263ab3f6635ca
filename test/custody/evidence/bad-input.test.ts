import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { MAX_DOCUMENT_CHARACTERS, MAX_LINE_CHARACTERS } from '#custody/evidence/parse.ts';
import type { Trust } from '#custody/evidence/trust.ts';
import { verifyChunks, verifyEvidence } from '#custody/evidence/verify.ts';
import { createTestSwarm, type TestSwarm, testClock } from '../support.ts';
import { bytesOf, codes, createCase, trustOf } from './support.ts';

let swarm: TestSwarm;
let trust: Trust;
let text: string;
let bulk: string;
let made: Awaited<ReturnType<typeof createCase>>;
beforeAll(async () => {
  swarm = await createTestSwarm({ clock: testClock(Math.floor(Date.now() / 1000) * 1000) });
  trust = trustOf(swarm);
  made = await createCase(swarm);
  made.witness();
  text = made.file({ action: made.act.id });
  bulk = made.lines({ action: made.act.id });
});
const judge = (given: string | Uint8Array) =>
  verifyEvidence(typeof given === 'string' ? bytesOf(given) : given, trust);

describe('what is no evidence', () => {
  it.each<[string, (document: string) => string, string]>([
    ['nothing', () => '', 'EVIDENCE_NOT_CANONICAL'],
    ['a newline', () => '\n', 'EVIDENCE_NOT_CANONICAL'],
    ['half of it', (document) => document.slice(0, document.length / 2), 'EVIDENCE_NOT_CANONICAL'],
    ['all but its last brace', (document) => document.slice(0, -2), 'EVIDENCE_NOT_CANONICAL'],
    ['something after it', (document) => `${document}x`, 'EVIDENCE_NOT_CANONICAL'],
    ['an empty line after it', (document) => `${document}\n`, 'EVIDENCE_NOT_CANONICAL'],
    ['a byte order mark', (document) => `\ufeff${document}`, 'EVIDENCE_NOT_CANONICAL'],
    [
      'spaces',
      (document) => JSON.stringify(JSON.parse(document), null, 1),
      'EVIDENCE_NOT_CANONICAL',
    ],
    [
      'a member twice',
      (document) => document.replace('{', '{"action":"x",'),
      'EVIDENCE_NOT_CANONICAL',
    ],
    [
      'a member of an entry twice',
      (document) => document.replace('{"at":', '{"at":1,"at":'),
      'EVIDENCE_NOT_CANONICAL',
    ],
    [
      'another order',
      (document) => document.replace(/"at":(\d+),"by":("[^"]+")/, '"by":$2,"at":$1'),
      'EVIDENCE_NOT_CANONICAL',
    ],
    [
      'an escape',
      (document) => document.replace('spiffe:', 'spiffe\\u003a'),
      'EVIDENCE_NOT_CANONICAL',
    ],
    ['a float', (document) => document.replace('"size":3', '"size":3.0'), 'EVIDENCE_NOT_CANONICAL'],
    ['a list', () => '[]', 'EVIDENCE_MALFORMED'],
    [
      'another type',
      (document) => document.replace('custody-evidence', 'custody-evidencf'),
      'EVIDENCE_MALFORMED',
    ],
    [
      'another version',
      (document) => document.replace(/"v":1}\n$/, '"v":2}\n'),
      'EVIDENCE_MALFORMED',
    ],
    [
      'an unknown member',
      (document) => document.replace(/"v":1}\n$/, '"v":1,"x":1}\n'),
      'EVIDENCE_MALFORMED',
    ],
    [
      'neither action nor range',
      (document) => document.replace(/"action":"[^"]*",/, ''),
      'EVIDENCE_MALFORMED',
    ],
    [
      'a negative place',
      (document) => document.replace('"index":0', '"index":-1'),
      'EVIDENCE_MALFORMED',
    ],
    [
      'a short hash',
      (document) => document.replace(/"path":\["..../, '"path":["'),
      'EVIDENCE_MALFORMED',
    ],
    [
      'an entry of another type',
      (document) => document.replace('"type":"record"', '"type":"recorf"'),
      'EVIDENCE_MALFORMED',
    ],
    [
      'salt without payload',
      (document) => document.replace(/"payload":"[^"]*",/, ''),
      'EVIDENCE_MALFORMED',
    ],
    ['deep nesting', () => `{"action":${'['.repeat(100_000)}`, 'EVIDENCE_TOO_LARGE'],
    ['a huge document', () => ' '.repeat(MAX_DOCUMENT_CHARACTERS + 1), 'EVIDENCE_TOO_LARGE'],
  ])('%s is refused and named', (_name, change, code) => {
    const verdict = judge(change(text));
    expect(verdict.overall).toBe('malformed');
    expect(codes(verdict)[0]).toBe(code);
    expect(judge(text).overall).toBe('proven');
  });

  it('a long or broken line ends the reading, whatever came before', async () => {
    const long = `${bulk}{"chain":["${'A'.repeat(MAX_LINE_CHARACTERS)}"]}\n`;
    expect(codes(judge(long))).toEqual(['EVIDENCE_TOO_LARGE']);
    // From a stream that never ends, no more is read than a line may have.
    let read = 0;
    function* endless() {
      yield bytesOf(bulk);
      for (;;) {
        read += 65_536;
        yield Buffer.alloc(65_536, 'a');
      }
    }
    expect((await verifyChunks(endless(), trust)).overall).toBe('malformed');
    expect(read).toBeLessThan(MAX_LINE_CHARACTERS * 2);
    expect(judge(bulk.replace('{"entry"', '{"entrz"')).overall).toBe('malformed');
    expect((await verifyChunks([], trust)).overall).toBe('malformed');
  });

  it('more bytes than are read at once are refused before they are read', () => {
    expect(codes(judge(Buffer.alloc(67_108_865)))).toEqual(['EVIDENCE_TOO_LARGE']);
  });

  it('a file without entries proves nothing', () => {
    expect(judge(made.file({}, { entries: [] }))).toMatchObject({
      overall: 'unverifiable',
      faults: [{ code: 'EVIDENCE_GAP' }, { code: 'EVIDENCE_RECORD_MISSING' }],
    });
  });

  it('bytes that are not UTF-8 are refused', () => {
    const bytes = bytesOf(text);
    bytes[bytes.indexOf('—')] = 0xff;
    expect(judge(bytes).overall).not.toBe('proven');
  });

  it('noise never throws, nor do cut and spliced files', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        (noise) => judge(noise).overall === 'malformed',
      ),
    );
    fc.assert(
      fc.property(fc.nat({ max: bulk.length }), fc.nat({ max: bulk.length }), (a, b) => {
        const spliced = bulk.slice(0, a) + bulk.slice(b);
        return (
          spliced === bulk || spliced === bulk.slice(0, -1) || judge(spliced).overall !== 'proven'
        );
      }),
      { numRuns: 300 },
    );
    fc.assert(fc.property(fc.json(), (json) => judge(json).overall === 'malformed'));
  });
});
