/** A security sentence of the README or the threat model, and what shows that it is true. */
export interface Requirement {
  readonly id: string;
  /** Titles of tests, or unmistakable parts of them. Empty only where `knownFailure` says why. */
  readonly tests: readonly string[];
  readonly knownFailure?: string;
}

/** A test checks that each id stands in a document, that each of theirs is here, and each test exists. */
export const REQUIREMENTS: readonly Requirement[] = [
  {
    id: 'S-01',
    tests: [
      'lets a member in with its own SVID',
      'refuses a certificate of a CA that nobody trusts',
      'refuses a genuine identity that is no member',
      'without a gate nobody gets in',
    ],
  },
  {
    id: 'S-02',
    tests: [
      'a sender publishes under its own token, and under no other',
      'a caller cannot join a service’s queue, nor the service leave it',
    ],
  },
  {
    id: 'S-03',
    tests: [
      'vectors: messages that must be refused, with the code they name',
      'a genuine message with any one byte changed is refused',
      'names who presented a record apart from whose it is',
      'a changed character of any header, or bit of the payload, is refused and never throws',
    ],
  },
  {
    id: 'S-04',
    tests: [
      'takes a changed image in as unverified, under its own digest',
      'is not deceived by a manifest that claims the old digests',
    ],
  },
  {
    id: 'S-05',
    tests: [
      'a question that is not even an object denies',
      'a stranger has no NATS permissions, and a member has',
      'a tool not granted is refused by policy before it runs; the granted twin runs',
      'a model that is not granted is refused with reasons; the granted one answers',
    ],
  },
  {
    id: 'S-06',
    tests: [
      'closes its connection, and the old SVID opens none',
      'messages flow on the new SVID after the old one has ended',
      'refuses a cached SVID 5 s after its end, and not before that',
    ],
  },
  {
    id: 'S-07',
    tests: [
      'the same program, not started by the launcher, gets nothing',
      'a forged process title and NODE_OPTIONS make no launched process',
      'arguments copied from a launched process are no evidence',
    ],
  },
  {
    id: 'S-08',
    tests: [
      'connect, hand the socket to a child, ',
      'a reused PID is not the caller: start time differs, even without a pidfd',
      'a replaced executable is noticed by device, inode, ctime and path',
    ],
  },
  { id: 'S-09', tests: ['opens one without --disable-sigusr1'] },
  { id: 'S-10', tests: ['cannot read other files, write, spawn, start workers'] },
  { id: 'S-11', tests: ['cannot read the token, and gets nothing without it; with it, it would'] },
  {
    id: 'S-12',
    tests: [
      'a service answers into inboxes under its own name only',
      'refuses a reply subject that is not the caller’s inbox for this service',
    ],
  },
  { id: 'S-13', tests: ['a request with forged headers and no door gets 401'] },
  { id: 'S-14', tests: ['an argument out of bounds reaches policy, which refuses it'] },
  { id: 'S-15', tests: ['two calls in one POST are refused, and neither runs; each alone runs'] },
  { id: 'S-16', tests: ['keeps one record id when the signature is rewritten'] },
  { id: 'S-17', tests: ['is refused and nothing of it stays'] },
  {
    id: 'S-18',
    tests: [
      'a bundle filed under another name is not used',
      'refuses a federated CA that mints a local member, the gate or the supervisor',
    ],
  },
  {
    id: 'S-19',
    tests: [
      'kill -9 at any point loses nothing that was reported',
      'times while it issues, it loses no SVID that anybody has, no entry and no authority',
    ],
  },
  {
    id: 'S-20',
    tests: [
      'every denial is read, with the member that the gate let in and the subject',
      'another member in the words of a denial',
      'names whom the gate named, whatever CONNECT says before it',
    ],
  },
  {
    id: 'S-21',
    tests: [
      'needs the token',
      'goes back when what was rolled out does not come up',
      'a lease ends with its caller, however that ends',
    ],
  },
  {
    id: 'S-22',
    tests: [
      'reaches its goal with shared keys, where nobody is named',
      'and names who holds the foothold',
    ],
  },
  {
    id: 'S-23',
    tests: [
      'no prompt, reading, answer, argument, runbook or key is in any exported byte',
      'what a publisher gives beyond the registry gets on no span',
    ],
  },
  {
    id: 'S-24',
    tests: [
      'a process speaks for itself: spans in the name of another are refused, its own are taken',
      'is not a span that another process made of the same record',
    ],
  },
  {
    id: 'S-25',
    tests: [
      'a collector that hangs changes nothing: every reading is recorded and acted upon, every span in the file',
    ],
  },
  {
    id: 'S-26',
    tests: [
      'is ready when it has the SVID issued for it and this configuration, whoever is first',
      'is refused when it is a broker of another authority',
    ],
  },
  {
    id: 'S-27',
    tests: [
      'cannot signal, trace or read another role; itself and what is its own it can',
      'reaches what shares its uid, which is why no two processes share one',
    ],
  },
  {
    id: 'S-28',
    tests: [
      'keys of another use do not sign tokens',
      'the public key as an HMAC secret signs nothing (JV-01)',
    ],
  },
  {
    id: 'S-29',
    tests: [
      'a token of each domain is valid by its own',
      'a bundle filed under another name is not used',
    ],
  },
  {
    id: 'S-30',
    tests: [
      'bytes that come with the handshake of an unexpected client are not read',
      'an authority taken out of the bundle ends the connections it vouched for',
    ],
  },
  {
    id: 'S-31',
    tests: ['that were taken away stay away from this launcher’s issuers, and from no other'],
  },
  { id: 'S-32', tests: ['of many at once with one token exactly one comes in'] },
  {
    id: 'S-33',
    tests: [
      'the issuer hands out nothing that its log does not hold, says why, and goes on when there is room',
    ],
  },
  {
    id: 'S-34',
    tests: [
      'does not get past the gate, as that agent or as a part of the platform',
      'does not get a record past the door, from inside of that agent, nor into the ledger',
      'refuses a thief of the authority’s key, who has a valid SVID of a member',
    ],
  },
  {
    id: 'S-35',
    tests: [
      'loses its connections at once, and its certificate opens none; the ledger says so',
      'cuts the connections under a revoked certificate, and no other of the same identity',
    ],
  },
  {
    id: 'S-36',
    tests: [
      'fewer entries than were signed for are refused',
      'another entry in the place of one is refused',
      'where entries and checkpoints are cut off alike, a witness remembers more, and nothing is signed',
    ],
  },
  {
    id: 'S-37',
    tests: [
      'that signs another history is refused by a witness, which keeps the proof and tells the supervisor',
      'after a size that is a power of two',
    ],
  },
  {
    id: 'S-38',
    tests: [
      'never cosigns two histories and never forgets',
      'does not start on a memory in which any byte is another',
    ],
  },
  {
    id: 'S-39',
    tests: [
      'is caught and named',
      'any byte that is flipped changes the verdict, or is one of those that nothing signs',
      'is unverifiable at best, and says by whom it would have to be judged',
    ],
  },
  {
    id: 'S-40',
    tests: [
      'is witnessed by two of three; by one it is not, and the swarm says so until there are two',
    ],
  },
  {
    id: 'S-41',
    tests: [
      'an acknowledgement that the broker swallows, once, and that it is over when one comes',
      'a record that the ledger never receives, and when it has',
      'none in a minute of honest work, in which who speaks has a record of its own proven',
    ],
  },
  {
    id: 'S-42',
    tests: [
      'the second is forged, although ledger and witnesses let it pass',
      'a root is for sensors, and every other kind for every member',
      'is not answered in evidence, neither as assembled nor as shown',
      'is not answered for the audit, which names who answered',
    ],
  },
  {
    id: 'S-43',
    tests: [
      'is believed when the attester stated it in the ledger',
      'unstated leaves open who signed: nothing is forged by that',
      'by a stranger is not believed, and is a forgery in the file',
      'given up is none for what the ledger takes after that, and stays one for what is before',
    ],
  },
  {
    id: 'S-44',
    tests: [
      'as the ledger’s own proof of it accuses only so, too, and names the stranger',
      'none claims under a certificate that was not issued: a thief could take every cause',
    ],
  },
  {
    id: 'S-45',
    tests: [
      'an acknowledgement is for the messages to one audience, and not for those to another',
      'and leaves those to another unacknowledged, though they have the same numbers',
    ],
  },
  {
    id: 'S-46',
    tests: [
      'a stranger that execs a program at the longest path there is takes nothing from the others',
      'an issuer whose link ends does too, and the next one is told of the living',
      'who holds connections without an identity does not crowd out who has one, or will',
      'hostile callers of every kind leave the memory of the issuer where it was',
    ],
  },
];
