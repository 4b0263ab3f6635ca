import { encodeBase64Url } from '#custody/base64url.ts';
import { type BadCase, bad, part } from './case.ts';
import { REQUEST, SECOND } from './good.ts';
import { fixed } from './sender.ts';

const base64 = (text: string) => Buffer.from(text).toString('base64');
const base64Url = (text: string) => Buffer.from(text).toString('base64url');

export const PROOF: readonly BadCase[] = [
  bad('RECORD_CHAIN_UNKNOWN', 'chain-absent', 'The certificate is not known and not sent.', {
    chain: null,
  }),
  bad(
    'RECORD_CHAIN_MISMATCH',
    'chain-of-another',
    'The chain has another leaf than the header names.',
    {
      chain: base64('another certificate'),
    },
  ),
  bad(
    'RECORD_CHAIN_UNVERIFIED',
    'foreign-authority',
    'Our SPIFFE ID, signed by another authority.',
    {
      by: 'impostor',
    },
  ),
  bad('RECORD_CHAIN_UNVERIFIED', 'foreign-domain', 'A trust domain without a bundle.', {
    by: 'stranger',
  }),
  bad('RECORD_SIGNATURE_INVALID', 'signature-of-another', 'The signature is by another key.', {
    signWith: 'action',
  }),
  bad('RECORD_SIGNATURE_INVALID', 'signature-zero', 'r and s are zero.', {
    after: (jws) => part(jws, 2, () => Buffer.alloc(64).toString('base64url')),
  }),
  bad('RECORD_SIGNATURE_INVALID', 'claims-altered', 'The claims were changed after signing.', {
    after: (jws) =>
      part(jws, 1, (c) => base64Url(Buffer.from(c, 'base64url').toString().replace('root', 'msg'))),
  }),
  bad('RECORD_ISSUER_MISMATCH', 'issuer-of-another', 'The sensor signs as the action agent.', {
    claims: { iss: 'spiffe://city.example/agent/action/north/action-1' },
  }),
  bad('RECORD_SUBJECT_MISMATCH', 'other-subject', 'The message was moved to another subject.', {
    message: { subject: 'south.reading.sensor-cam-1' },
  }),
  bad('RECORD_REPLY_MISMATCH', 'reply-added', 'Somebody added a reply subject.', {
    message: { reply: '_INBOX.evil' },
  }),
  {
    ...bad('RECORD_REPLY_MISMATCH', 'reply-changed', 'The reply subject was exchanged.', {
      ...REQUEST,
      message: { ...REQUEST.message, reply: '$JS.API.STREAM.DELETE.LEDGER' },
    }),
    to: 'mcp',
  },
  bad('RECORD_PAYLOAD_MISMATCH', 'payload-altered', 'The payload was changed.', {
    message: { payload: base64('{"speed":99}') },
  }),
  bad('RECORD_PAYLOAD_MISMATCH', 'payload-reserialised', 'The same JSON in other bytes.', {
    message: { payload: base64('{ "speed": 41 }') },
  }),
  bad('RECORD_PAYLOAD_MISMATCH', 'salt-altered', 'The salt was changed.', {
    salt: encodeBase64Url(fixed('other salt')),
  }),
  bad('RECORD_AUDIENCE_MISMATCH', 'audience-one-level-up', 'The star does not span two segments.', {
    claims: { aud: ['spiffe://city.example/agent/analyzer/*'] },
  }),
  bad('RECORD_AUDIENCE_MISMATCH', 'audience-prefix', 'A name that ours begins with.', {
    claims: { aud: ['spiffe://city.example/agent/analyzer/north/analyzer'] },
  }),
  {
    ...bad('RECORD_AUDIENCE_MISMATCH', 'other-audience', 'Presented to the action agent.', {}),
    to: 'action',
  },
  { ...bad('RECORD_EXPIRED', 'expired', 'Presented at exp.', {}), later: 30_000 },
  {
    ...bad('RECORD_FROM_FUTURE', 'from-future', 'Issued more than 5 s ahead of the receiver.', {}),
    later: -6_000,
  },
  {
    ...bad('RECORD_BEFORE_START', 'before-start', 'Signed before the receiver started.', {}),
    start: 500,
    later: 1_000,
  },
  { ...bad('RECORD_REPLAYED', 'replay', 'The same message again.', {}), before: [{}] },
  {
    ...bad('RECORD_SEQUENCE_REGRESSED', 'reordered', 'The first record after the second.', {}),
    before: [SECOND],
  },
];
