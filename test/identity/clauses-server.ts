import type { Clause } from './clauses.ts';

const rows = (
  document: string,
  ...list: readonly (readonly [id: string, section: string, says: string])[]
): readonly Clause[] =>
  list.map(([id, section, says]) => ({ id, says, where: `${document} ${section}` }));

/** What a server of the Workload API is held to. */
export const SERVER_CLAUSES: readonly Clause[] = [
  ...rows(
    'Workload Endpoint',
    ['E-01', '3', 'the API is gRPC, on a Unix socket unless the caller can be told by its address'],
    ['E-02', '3, 6', 'a request without the security header is refused with InvalidArgument'],
    [
      'E-03',
      '3.1, 5',
      'neither TLS nor credentials are asked of the caller, nor its help in attestation',
    ],
    ['E-04', '2, 5', 'callers are told apart by kernel and orchestrator; one host is served'],
    [
      'E-05',
      '4',
      'an address is unix:///path or tcp://IP:port; SPIFFE_ENDPOINT_SOCKET names it where nothing else does',
    ],
    [
      'E-06',
      '6, A',
      'InvalidArgument, Unavailable, PermissionDenied and Unimplemented mean what they are for',
    ],
    ['E-07', '7', 'the service has the methods of the standard and no others'],
    ['E-08', '7', 'gRPC reflection tells what is served'],
    ['E-09', '7', 'the service has no package in its path'],
    ['E-10', '–', 'whatever authority or host header a client sends changes nothing'],
  ),
  ...rows(
    'Workload API',
    ['A-01', '1', 'the X.509 and JWT profiles are both there'],
    [
      'A-02',
      '4.3',
      'the first message comes at once, each holds everything, later ones come with events',
    ],
    ['A-03', '4.3', 'pushes to many are spread, and what did not change is not pushed'],
    ['A-04', '4.5', 'a request whose mandatory field is empty is answered with InvalidArgument'],
    [
      'A-05',
      '5.2.1, 8',
      'all mandatory fields are filled, chains leaf first, the default identity first',
    ],
    ['A-06', '5.2.1, 8', 'a hint stands once in an answer, and is at most 1,024 bytes'],
    ['A-07', '5.2, 6.2', 'who is not entitled gets PermissionDenied, on open streams too'],
    ['A-08', '5.2.2, 6.2.2', 'the own bundle is always there, keyed by the ID of the trust domain'],
    [
      'A-09',
      '6.2.1',
      'without an ID all identities get a token; an ID that is not the caller’s gets none',
    ],
    ['A-10', '6.2.2', 'a JWT bundle is a JWK Set without keys of another use'],
    ['A-11', '6.2.3', 'a token is validated in full, and its claims are returned'],
    ['A-12', 'A', 'before each message it is checked that the caller is still entitled'],
    ['W-06', '7', 'a server without the WIT profile answers its calls with Unimplemented'],
    [
      'A-13',
      '4.6, 5.1',
      'foreign bundles are those that the workload is to trust, each under its own domain',
    ],
  ),
];
