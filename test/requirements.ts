/** A security sentence of the README or the threat model, and what shows that it is true. */
export interface Requirement {
  readonly id: string;
  /** Tests by file, and a part of their title. Empty only where `knownFailure` says why. */
  readonly tests: readonly (readonly [file: string, title: string])[];
  readonly knownFailure?: string;
}

const PEER = 'test/identity/issuer/peer-credentials.test.ts';
const WORKLOAD = 'test/identity/issuer/workload-server.test.ts';
const IMAGES = 'test/runtime/images/images.test.ts';
const FLAGS = 'test/runtime/launcher/hardening.test.ts';
const MCP = 'test/services/mcp.test.ts';
const POLICY = 'test/policy/policy.test.ts';
const SERVICE_DOOR = 'test/services/door.test.ts';
const RECORD = 'test/custody/record.test.ts';
const PROVISION = 'test/runtime/tools/provision.test.ts';

/** A test checks that each id stands in a document, that each of theirs is here, and each test exists. */
export const REQUIREMENTS: readonly Requirement[] = [
  { id: 'S-01', tests: [['test/bus/gate.test.ts', 'lets a member in with its own SVID']] },
  { id: 'S-02', tests: [], knownFailure: 'no test through a real broker cites it yet' },
  { id: 'S-03', tests: [[RECORD, 'does not sign what a receiver would refuse']] },
  {
    id: 'S-04',
    tests: [
      [IMAGES, 'takes a changed image in as unverified, under its own digest'],
      [IMAGES, 'is not deceived by a manifest that claims the old digests'],
    ],
  },
  {
    id: 'S-05',
    tests: [
      [POLICY, 'a question that is not even an object denies'],
      [POLICY, 'a stranger has no NATS permissions, and a member has'],
      [MCP, 'a tool not granted is refused by policy before it runs; the granted twin runs'],
      ['test/services/llm.test.ts', 'a model that is not granted is refused with reasons'],
    ],
  },
  { id: 'S-06', tests: [[RECORD, 'refuses a cached SVID 5 s after its end, and not before that']] },
  {
    id: 'S-07',
    tests: [
      [WORKLOAD, 'the same program, not started by the launcher, gets nothing'],
      [WORKLOAD, 'a forged process title and NODE_OPTIONS make no launched process'],
      [WORKLOAD, 'arguments copied from a launched process are no evidence'],
    ],
  },
  {
    id: 'S-08',
    tests: [
      [WORKLOAD, 'connect, hand the socket to a child, exec another program: nothing'],
      [PEER, 'a reused PID is not the caller: start time differs, even without a pidfd'],
      [PEER, 'a replaced executable is noticed by device, inode, ctime and path'],
    ],
  },
  { id: 'S-09', tests: [[FLAGS, 'opens one without --disable-sigusr1']] },
  { id: 'S-10', tests: [[FLAGS, 'cannot read other files, write, spawn, start workers']] },
  {
    id: 'S-11',
    tests: [['test/runtime/control/control.test.ts', 'cannot read the token, and gets nothing']],
  },
  { id: 'S-12', tests: [], knownFailure: 'no test through a real broker cites it yet' },
  { id: 'S-13', tests: [[SERVICE_DOOR, 'a request with forged headers and no door gets 401']] },
  {
    id: 'S-14',
    tests: [[MCP, 'an argument out of bounds reaches policy, which refuses it']],
  },
  { id: 'S-15', tests: [[MCP, 'two calls in one POST are refused, and neither runs']] },
  {
    id: 'S-16',
    tests: [
      ['test/custody/vectors.test.ts', 'keeps one record id when the signature is rewritten'],
    ],
  },
  { id: 'S-17', tests: [[PROVISION, 'is refused and nothing of it stays']] },
  {
    id: 'S-18',
    tests: [['test/identity/x509/verify.test.ts', 'a bundle filed under another name is not used']],
  },
  {
    id: 'S-19',
    tests: [['test/identity/issuer/store.test.ts', 'kill -9 at any point loses nothing']],
  },
];
