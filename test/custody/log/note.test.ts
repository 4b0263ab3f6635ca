import { describe, expect, it } from 'vitest';
import { openCheckpoint, witnessedAt } from '#custody/log/checkpoint.ts';
import {
  createNoteSigner,
  parseVerifierKey,
  privateKeyFromSeed,
  verifyNote,
} from '#custody/log/keys.ts';
import { formatNote, parseNote } from '#custody/log/note.ts';
import { logSigner, noteSigner, ORIGIN } from './support.ts';

/** A key that the text is known to be. */
function key(text: string) {
  const parsed = parseVerifierKey(text);
  if (!parsed.ok) throw new Error(parsed.detail);
  return parsed.value;
}
function signersOf(text: string, ...vkeys: string[]) {
  const note = parseNote(text);
  if (!note.ok) return note;
  const signed = verifyNote(note.value, vkeys.map(key));
  return signed.ok ? signed.value.map(({ key: { name }, time }) => [name, time]) : signed;
}

/** The example of c2sp.org/signed-note. */
const EXAMPLE_KEY = 'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k';
const EXAMPLE = `This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
`;

/** The example of golang.org/x/mod/sumdb/note, with the seed that it is made from. */
const GO_KEY = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
const GO_SEED = Buffer.from('AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz', 'base64').subarray(1);
const GO_TEXT = `If you think cryptography is the answer to your problem,
then you don't know what your problem is.
`;
const GO_NOTE = `${GO_TEXT}
— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
`;

/** A checkpoint that a public log and its public witnesses signed in May 2026, with their keys. */
const PUBLIC_ORIGIN = 'arche2025h1.staging.ct.transparency.dev';
const PUBLIC_LOG = `${PUBLIC_ORIGIN}+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f`;
const PUBLIC_WITNESSES = [
  'remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2',
  'witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv',
  'transparency.dev/DEV:witness-little-garden+d8042a87+BCtusOxINQNUTN5Oj8HObRkh2yHf/MwYaGX4CPdiVEPM',
  'witness1.smartit.nu/witness1+a48c820f+BPSFWg9G6KPiO7QPryYO5Xq4oYJJ+kAvLKLSimDhoxMO',
  'rgdd.se/poc-witness+db03732e+BCjJKlo6BU0xfIb8LutqerIFTWIXEA0L5n3tW3QyPFgG',
];
const PUBLIC_CHECKPOINT = `arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

— arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
— arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
— transparency.dev/DEV:witness-little-garden 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==
— witness1.smartit.nu/witness1 pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==
— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
— witness.stagemole.eu Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==
`;

describe('published signed notes (c2sp.org/signed-note)', () => {
  it('the example of the specification verifies', () => {
    expect(signersOf(EXAMPLE, EXAMPLE_KEY)).toEqual([['example.com/foo', undefined]]);
  });

  it('the example of Go’s note package verifies, and is made again byte for byte', () => {
    expect(signersOf(GO_NOTE, GO_KEY)).toEqual([['PeterNeumann', undefined]]);
    const signer = createNoteSigner({
      name: 'PeterNeumann',
      use: 'note',
      key: privateKeyFromSeed(GO_SEED),
    });
    expect(signer.verifier.vkey).toBe(GO_KEY);
    expect(formatNote({ text: GO_TEXT, signatures: [signer.sign(GO_TEXT)] })).toBe(GO_NOTE);
  });

  it('a public log’s checkpoint verifies with the cosignatures of four public witnesses', () => {
    const policy = {
      origin: PUBLIC_ORIGIN,
      log: [key(PUBLIC_LOG)],
      witnesses: PUBLIC_WITNESSES.map(key),
    };
    const opened = openCheckpoint(PUBLIC_CHECKPOINT, policy);
    expect(opened).toMatchObject({ ok: true, value: { size: 1_432_088_532 } });
    if (!opened.ok) return;
    expect(opened.value.cosignatures).toHaveLength(4);
    expect(witnessedAt(opened.value, 4)).toEqual({ ok: true, value: 0x6a122120 });
    expect(witnessedAt(opened.value, 5)).toMatchObject({ code: 'CHECKPOINT_QUORUM_MISSING' });
    const altered = PUBLIC_CHECKPOINT.replace('1432088532', '1432088533');
    expect(openCheckpoint(altered, policy)).toMatchObject({ code: 'NOTE_SIGNATURE_INVALID' });
    const other = { ...policy, origin: 'arche2025h2.staging.ct.transparency.dev' };
    expect(openCheckpoint(PUBLIC_CHECKPOINT, other)).toMatchObject({
      code: 'CHECKPOINT_ORIGIN_MISMATCH',
    });
    expect(openCheckpoint(PUBLIC_CHECKPOINT, { ...policy, log: [key(GO_KEY)] })).toMatchObject({
      code: 'NOTE_UNSIGNED',
    });
  });
});

describe('a verifier key', () => {
  it.each([EXAMPLE_KEY, GO_KEY, PUBLIC_LOG, ...PUBLIC_WITNESSES])(
    '%s is read and written',
    (text) => {
      expect(key(text).vkey).toBe(text);
    },
  );

  it('is refused when any part of it is altered', () => {
    for (let begin = 0; begin <= GO_KEY.length; begin++) {
      for (let end = begin; end <= GO_KEY.length; end++) {
        if (begin === 0 && end === GO_KEY.length) continue;
        const part = parseVerifierKey(GO_KEY.slice(begin, end));
        expect(part).toMatchObject({ ok: false, code: 'NOTE_KEY_INVALID' });
      }
    }
    for (let at = 0; at < GO_KEY.length; at++) {
      const altered = `${GO_KEY.slice(0, at)}${GO_KEY[at] === 'x' ? 'y' : 'x'}${GO_KEY.slice(at + 1)}`;
      expect(parseVerifierKey(altered).ok, altered).toBe(false);
    }
  });

  it.each([
    [
      'another length',
      'PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==',
    ],
    ['an unknown type', 'PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW'],
  ])('of %s is refused, although its id is right', (_name, text) => {
    expect(parseVerifierKey(text)).toMatchObject({ code: 'NOTE_KEY_INVALID' });
  });
});

describe('a signed note', () => {
  const signed = formatNote({ text: 'a\n\nb\n', signatures: [logSigner.sign('a\n\nb\n')] });

  it('keeps empty lines of its text', () => {
    expect(signersOf(signed, logSigner.verifier.vkey)).toEqual([[ORIGIN, undefined]]);
  });

  it.each<[string, string]>([
    ['no signature', 'text\n'],
    ['no blank line', signed.replaceAll('\n\n', '\n')],
    ['no newline at the end', signed.slice(0, -1)],
    ['a carriage return', signed.replaceAll('\n', '\r\n')],
    ['a control character', signed.replace('b', 'b\u0007')],
    ['half a surrogate pair', signed.replace('b', 'b\ud800')],
    ['a hyphen for the dash', signed.replace('—', '-')],
    ['a plus in the name', signed.replace('city', 'ci+ty')],
    ['no name', signed.replace(`— ${ORIGIN}`, '— ')],
    [
      'spare bits in the base64',
      signed.replace(/.=\n$/, (end) => `${end[0] === 'B' ? 'D' : 'B'}=\n`),
    ],
    ['base64 without padding', signed.replace(/=+\n$/, '\n')],
    ['a signature of no bytes', `text\n\n— x ${Buffer.alloc(4).toString('base64')}\n`],
    ['something after the signature', signed.replace(/\n$/, ' x\n')],
    ['65 signatures', signed + signed.slice(signed.indexOf('—')).repeat(64)],
    ['a megabyte', `${'x'.repeat(1 << 20)}\n\n${signed.slice(signed.indexOf('—'))}`],
  ])('with %s is malformed', (_name, text) => {
    expect(parseNote(text)).toMatchObject({ ok: false, code: 'NOTE_MALFORMED' });
  });

  it('ignores unknown keys, also where name or id alone is a known one', () => {
    const twin = noteSigner(ORIGIN, 'note', 'other');
    const sameId = { ...twin.sign('t\n'), name: 'other', keyId: logSigner.verifier.keyId };
    const note = formatNote({
      text: 't\n',
      signatures: [twin.sign('t\n'), sameId, logSigner.sign('t\n')],
    });
    expect(signersOf(note, logSigner.verifier.vkey)).toEqual([[ORIGIN, undefined]]);
    const forged = { ...twin.sign('t\n'), keyId: logSigner.verifier.keyId };
    const spoilt = formatNote({ text: 't\n', signatures: [logSigner.sign('t\n'), forged] });
    expect(signersOf(spoilt, logSigner.verifier.vkey)).toMatchObject({
      code: 'NOTE_SIGNATURE_INVALID',
    });
  });

  it('is not verified by a key of the other type', () => {
    const witness = noteSigner(ORIGIN, 'cosignature');
    const note = formatNote({ text: 't\n', signatures: [witness.sign('t\n', 1)] });
    expect(signersOf(note, witness.verifier.vkey)).toEqual([[ORIGIN, 1]]);
    expect(signersOf(note, logSigner.verifier.vkey)).toEqual([]);
    expect(() => witness.sign('t\n')).toThrow('says when');
  });
});
