import { isDeepStrictEqual } from 'node:util';
import { type AckPayload, encodeAck, parseAck } from '#custody/ack.ts';
import { formatCheckpoint, parseCheckpoint } from '#custody/log/checkpoint.ts';
import { formatNote, parseNote } from '#custody/log/note.ts';
import { parsePidfdPid, parseStartTime } from '#identity/attestors/proc.ts';
import { parseEntry } from '#identity/issuer/entry.ts';
import { readEntriesJson } from '#identity/issuer/entry-json.ts';
import { createFrameReader, encodeFrame, parseTimeout } from '#identity/issuer/grpc.ts';
import { LinkAnswer, LinkEvent, LinkRequest, parseLine } from '#identity/issuer/link-messages.ts';
import { parsePublicKey } from '#identity/issuer/workload-key.ts';
import { readJson } from '#identity/json.ts';
import {
  MAX_SVIDS_PER_REQUEST,
  readAttestRequest,
  readKeyRequest,
  readSvidRequests,
  readTokenRequest,
  readWatchRequest,
} from '#identity/node/protocol.ts';
import type { SpiffeId } from '#identity/spiffe-id.ts';
import type { Target } from './target.ts';

const FRAME_BYTES = 4096;
/** The base point of P-256 as a public key: a seed must be the same in every run. */
const P256_SPKI = Buffer.from(
  '3059301306072a8648ce3d020106082a8648ce3d03010703420004' +
    '6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296' +
    '4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5',
  'hex',
);
const LIMITS = { maxBytes: 64 * 1024 };

function must(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}
const text = (input: Uint8Array) => Buffer.from(input).toString('utf8');
const bytes = (...texts: readonly string[]) => texts.map((one) => Buffer.from(one));
const json = (...values: readonly unknown[]) => bytes(...values.map((one) => JSON.stringify(one)));

const KEY = { publicKey: 'AAAA', proof: 'BBBB' };
const SID = 'A'.repeat(22);
const ACK: AckPayload = {
  type: 'ack',
  to: 'spiffe://city.example/agent/a' as SpiffeId,
  sid: SID,
  aud: ['spiffe://city.example/agent/b'],
  through: 9,
  session: SID,
};
const ENTRY = {
  spiffe_id: 'spiffe://city.example/agent/a',
  parent_id: 'spiffe://city.example/node/n',
  selectors: [{ type: 'unix', value: 'uid:1000' }],
  x509_svid_ttl: 300,
  dns_names: ['a.city.example'],
};

/** Parsers of the issuer, and of what custody reads: workloads, nodes and files send them anything. */
export function serverTargets(): readonly Target[] {
  return [
    {
      name: 'grpc-frames',
      seeds: [Buffer.alloc(0), Buffer.from('abc'), Buffer.alloc(300, 7)].map((one) =>
        Buffer.concat([encodeFrame(one), encodeFrame(one)]),
      ),
      check(input) {
        const whole = createFrameReader(FRAME_BYTES, undefined).push(input);
        const reader = createFrameReader(FRAME_BYTES, undefined);
        const parts: Uint8Array[] = [];
        for (let at = 0; at < input.length; at += 1 + (input.length >> 3)) {
          const some = reader.push(input.subarray(at, at + 1 + (input.length >> 3)));
          must(!whole.ok || some.ok, 'refused in parts, read as a whole');
          if (!some.ok) return;
          parts.push(...some.messages);
        }
        must(whole.ok, 'read in parts, refused as a whole');
        if (!whole.ok) return;
        must(isDeepStrictEqual(parts, [...whole.messages]), 'parts give other messages');
        const again = Buffer.concat(whole.messages.map(encodeFrame));
        must(again.equals(input.subarray(0, again.length)), 'a frame changes by writing');
        must(again.length + reader.rest === input.length, 'octets are lost');
      },
    },
    {
      name: 'grpc-timeout',
      seeds: bytes('1H', '30S', '99999999n', '100m'),
      check(input) {
        const read = parseTimeout(text(input));
        if (read === undefined) return;
        must(read >= 0 && read <= 99_999_999 * 3_600_000, 'a time out of bounds');
      },
    },
    {
      name: 'entries-json',
      seeds: json({ entries: [ENTRY] }, { entries: [ENTRY, { ...ENTRY, hint: 'x' }] }),
      check(input) {
        const read = readEntriesJson(text(input));
        if (!read.ok) return;
        for (const entry of read.value) {
          const parsed = parseEntry(entry, {
            trustDomain: 'city.example',
            now: new Date(0),
            federated: () => false,
          });
          if (!parsed.ok) continue;
          must(parsed.value.spiffe_id.startsWith('spiffe://city.example/'), 'a foreign ID');
          must(parsed.value.selectors.length > 0, 'an entry that fits everybody');
        }
      },
    },
    {
      name: 'node-protocol',
      seeds: json(
        { ...KEY, token: 't' },
        KEY,
        { requests: [{ ...KEY, entryId: 'e' }] },
        { mark: '' },
        { entryId: 'e', audience: ['reports', 'b'] },
      ),
      check(input) {
        const value = readJson(input, LIMITS);
        readAttestRequest(value);
        readKeyRequest(value);
        readWatchRequest(value);
        const svids = readSvidRequests(value)?.length ?? 1;
        must(svids > 0 && svids <= MAX_SVIDS_PER_REQUEST, 'too many requests');
        const audience = readTokenRequest(value)?.audience ?? ['-'];
        must(
          audience.every((one) => one !== ''),
          'an empty audience',
        );
      },
    },
    {
      name: 'link',
      seeds: json(
        { op: 'bundle', ref: 1 },
        { op: 'add-entries', ref: 2, entries: [ENTRY] },
        { event: 'outbox' },
        { ref: 1, ok: true, value: {} },
        { ref: 1, ok: false, code: 'ENTRY_INVALID', detail: 'x' },
      ),
      check(input) {
        const line = parseLine(text(input));
        for (const parser of [LinkRequest, LinkEvent, LinkAnswer]) {
          const read = parser.safeParse(line);
          if (!read.success) continue;
          must(parser.safeParse(JSON.parse(JSON.stringify(read.data))).success, 'not read again');
        }
      },
    },
    {
      name: 'public-key',
      seeds: [P256_SPKI],
      check(input) {
        const read = parsePublicKey(input);
        if (read === undefined) return;
        must(read.key.asymmetricKeyDetails?.namedCurve === 'prime256v1', 'a key of another curve');
      },
    },
    {
      name: 'procfs',
      seeds: bytes(
        `7 (a) b) S ${Array.from({ length: 40 }, (_one, n) => n).join(' ')}`,
        'pos:\t0\nflags:\t02000002\nPid:\t42\n',
      ),
      check(input) {
        const start = parseStartTime(text(input)) ?? 0;
        must(Number.isSafeInteger(start) && start >= 0, 'a start time that is no count');
        const pid = parsePidfdPid(text(input));
        must(pid === undefined || !Number.isNaN(pid), 'a PID that is no number');
      },
    },
    {
      name: 'note',
      seeds: bytes(
        `city.example/ledger\n3\n${Buffer.alloc(32, 1).toString('base64')}\n\n— a ${Buffer.alloc(68).toString('base64')}\n`,
      ),
      check(input) {
        const note = parseNote(text(input));
        if (!note.ok) return;
        must(formatNote(note.value) === text(input), 'a note changes by writing');
        const checkpoint = parseCheckpoint(note.value.text);
        if (!checkpoint.ok) return;
        must(formatCheckpoint(checkpoint.value) === note.value.text, 'two spellings of one head');
      },
    },
    {
      name: 'ack',
      seeds: [ACK, { ...ACK, rejected: [2, 9] }].map(encodeAck),
      check(input) {
        const read = parseAck(input);
        if (read.ok) must(Buffer.from(encodeAck(read.value)).equals(input), 'two spellings');
      },
    },
  ];
}
