import { encodeBase64Url } from '#custody/base64url.ts';
import { malleate } from '#test/custody/support.ts';
import { type Forgery, fixed } from './sender.ts';

export interface Case {
  readonly name: string;
  readonly description: string;
  readonly forgery?: Forgery;
  readonly before?: readonly Forgery[];
  /** Name of the receiving identity; the analyzer by default. */
  readonly to?: string;
  /** Milliseconds to add to the vectors' time. */
  readonly later?: number;
  /** When the receiver started, relative to the vectors' time; a minute before by default. */
  readonly start?: number;
}

const id = (name: string) => encodeBase64Url(fixed(name, 32));
const MCP = 'spiffe://city.example/service/mcp';

/** A request to the tool server, by the action agent. */
export const REQUEST: Forgery = {
  by: 'action',
  claims: {
    aud: [MCP],
    sbj: 'svc.mcp.action-action-1',
    rpl: '_INBOX.action-action-1.mcp.n0',
    knd: 'act',
    par: [id('finding')],
    tool: { kind: 'mcp', model: 'signal.set_plan', rid: '1', signed: false },
  },
  message: { subject: 'svc.mcp.action-action-1', reply: '_INBOX.action-action-1.mcp.n0' },
};

/** The second record of the sensor's session. */
export const SECOND: Forgery = {
  claims: { seq: 2, prv: id('first'), rsq: 2, jti: encodeBase64Url(fixed('jti2')) },
};

export const GOOD: readonly Case[] = [
  { name: 'root', description: 'A reading that opens a chain, to all analyzers of a district.' },
  {
    name: 'exact-audience',
    description: 'The audience is one SPIFFE ID.',
    forgery: { claims: { aud: ['spiffe://city.example/agent/analyzer/north/analyzer-1'] } },
  },
  {
    name: 'one-cause',
    description: 'A message with one cause.',
    forgery: { claims: { knd: 'msg', par: [id('a')] } },
  },
  {
    name: 'sixteen-causes',
    description: 'A message with as many causes as a record may name.',
    forgery: {
      claims: { knd: 'msg', par: Array.from({ length: 16 }, (_, n) => id(`cause ${n}`)) },
    },
  },
  {
    name: 'act-with-reply',
    description: 'An act: a request with a reply subject, one receiver, a cause and its tool.',
    forgery: REQUEST,
    to: 'mcp',
  },
  {
    name: 'transaction-and-delegation',
    description: 'Transaction id and delegation hash are carried.',
    forgery: { claims: { txn: 'order-7', tth: id('token') } },
  },
  {
    name: 'chain-remembered',
    description: 'The chain came with an earlier message; this one does without.',
    before: [{}],
    forgery: { ...SECOND, chain: null },
  },
  {
    name: 'gap',
    description: 'Records were missed before this one: accepted, and the gap is reported.',
    before: [{}],
    forgery: { claims: { ...SECOND.claims, seq: 5, rsq: 5 } },
  },
  {
    name: 'malleated-signature',
    description:
      'Signature with s replaced by n − s: it verifies, and the id is that of root.json.',
    forgery: { after: malleate },
  },
  {
    name: 'last-moment',
    description: 'Received just before exp.',
    later: 29_999,
  },
  {
    name: 'clock-behind',
    description: 'The receiver’s clock is 5 s behind the sender’s.',
    later: -5_000,
  },
  {
    name: 'batched',
    description: 'A record signed in a batch of seven, at place 4.',
    forgery: { batch: { size: 7, index: 4 } },
  },
  {
    name: 'batch-of-one',
    description: 'A batch of one record: its path is empty.',
    forgery: { batch: { size: 1, index: 0 } },
  },
  {
    name: 'batched-malleated-signature',
    description: 'As batched.json with s replaced by n − s in the signature of the batch: same id.',
    forgery: { batch: { size: 7, index: 4 }, after: malleate },
  },
];
