import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import { call, frame, openSession } from '#test/identity/issuer/raw-client.ts';

/**
 * The few administrative calls of a SPIRE server that a measurement needs, over its own socket and
 * without starting its program for each: a process that starts would be most of what is measured.
 * Field numbers are those of spire.api.types and spire.api.server of SPIRE 1.
 */
export interface SpireAdmin {
  /** A token that an agent may join with once. @returns the agent's path as a SPIFFE ID has it */
  createJoinToken(token: string): Promise<string>;
  createEntry(entry: SpireEntry): Promise<void>;
  setX509Ttl(id: string, seconds: number): Promise<void>;
  close(): void;
}

export interface SpireEntry {
  readonly id: string;
  readonly path: string;
  readonly parent: string;
  /** `type` and `value` of each. */
  readonly selectors: readonly (readonly [type: string, value: string])[];
  readonly x509Ttl: number;
}

const TOKEN_TTL = 600;
const MASK_X509_TTL = 5;

type Write = (to: BinaryWriter) => void;

const text =
  (field: number, value: string): Write =>
  (to) =>
    to.tag(field, WireType.LengthDelimited).string(value);
const number =
  (field: number, value: number): Write =>
  (to) =>
    to.tag(field, WireType.Varint).int32(value);
const message =
  (field: number, ...fields: readonly Write[]): Write =>
  (to) => {
    to.tag(field, WireType.LengthDelimited).fork();
    for (const write of fields) write(to);
    to.join();
  };

/** All fields of one number that hold a text, bytes or a message. */
function fields(of: Uint8Array, wanted: number): Uint8Array[] {
  const found: Uint8Array[] = [];
  const reader = new BinaryReader(of);
  while (reader.pos < reader.len) {
    const [field, type] = reader.tag();
    if (field === wanted && type === WireType.LengthDelimited) found.push(reader.bytes());
    else reader.skip(type, field);
  }
  return found;
}

/** A batch call answers OK and tells of each part apart: results = 1, status = 1, message = 2. */
function refusalIn(answer: Uint8Array): string | undefined {
  for (const result of fields(answer, 1)) {
    for (const status of fields(result, 1)) {
      const reader = new BinaryReader(status);
      const [field, type] = reader.len > 0 ? reader.tag() : [0, WireType.Varint];
      // A code of zero is not written.
      if (field !== 1 || type !== WireType.Varint || reader.int32() === 0) continue;
      return fields(status, 2)
        .map((bytes) => Buffer.from(bytes).toString())
        .join('; ');
    }
  }
  return undefined;
}

export function spireAdmin(socket: string, trustDomain: string): SpireAdmin {
  const session = openSession(socket);
  const ask = async (method: string, ...request: readonly Write[]): Promise<Uint8Array> => {
    const writer = new BinaryWriter();
    for (const write of request) write(writer);
    const one = call(session, `/spire.api.server.${method}`, {}, frame(writer.finish()));
    const answer = await one.next();
    const status = await one.status;
    if (status !== 0 || answer === undefined) throw new Error(`${method}: gRPC status ${status}`);
    return answer;
  };
  const batch = async (method: string, ...request: readonly Write[]): Promise<void> => {
    const refused = refusalIn(await ask(method, ...request));
    if (refused !== undefined) throw new Error(`${method}: ${refused}`);
  };
  const spiffeId = (field: number, path: string): Write =>
    message(field, text(1, trustDomain), text(2, path));

  return {
    createJoinToken: async (token) => {
      await ask('agent.v1.Agent/CreateJoinToken', number(1, TOKEN_TTL), text(2, token));
      return `/spire/agent/join_token/${token}`;
    },
    createEntry: ({ id, path, parent, selectors, x509Ttl }) =>
      batch(
        'entry.v1.Entry/BatchCreateEntry',
        message(
          1,
          text(1, id),
          spiffeId(2, path),
          spiffeId(3, parent),
          ...selectors.map(([type, value]) => message(4, text(1, type), text(2, value))),
          number(5, x509Ttl),
        ),
      ),
    setX509Ttl: (id, seconds) =>
      batch(
        'entry.v1.Entry/BatchUpdateEntry',
        message(1, text(1, id), number(5, seconds)),
        message(2, number(MASK_X509_TTL, 1)),
      ),
    close: () => session.destroy(),
  };
}
