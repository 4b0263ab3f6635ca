import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';

/** A join token as it is kept: of the secret itself only a digest. */
export interface JoinTokenRow {
  /** hex(SHA-256(domain ‖ token)). */
  readonly digest: string;
  /** SPIFFE ID that its holder gets. */
  readonly agentId: string;
  /** Seconds since the epoch. */
  readonly createdAt: number;
  readonly expiresAt: number;
  /** Seconds since the epoch; absent: not used yet. */
  readonly usedAt?: number;
}

/** A node that joined; names of SPIRE's agent record. */
export interface NodeRow {
  readonly agentId: string;
  /** Of its present SVID: an older one is no key any more. */
  readonly serial: string;
  /** Of one that it renewed to and has not shown yet; empty: none. */
  readonly nextSerial: string;
  readonly expiresAt: number;
  readonly joinedAt: number;
}

/** Join tokens and joined nodes on disk. */
export interface NodeStore {
  addToken(token: JoinTokenRow): void;
  token(digest: string): JoinTokenRow | undefined;
  /**
   * Uses a token up: within a transaction, for the first caller that finds it unused and unexpired.
   * @returns whether this was the caller
   */
  useToken(digest: string, now: number): boolean;
  /** Within a transaction: the node's present SVID. */
  writeNode(node: NodeRow): void;
  /** Oldest first. */
  nodes(): readonly NodeRow[];
  /** @returns whether it was there */
  removeNode(agentId: string): boolean;
  node(agentId: string): NodeRow | undefined;
  /** Whether a token may still be used, or a node renew. */
  awaitsNodes(now: number): boolean;
  /** Forgets tokens that ended before `time`, used or not. */
  dropTokens(time: number): void;
  /** Where the node endpoint listened last, `host:port`. */
  nodeAddress(): string | undefined;
  writeNodeAddress(address: string): void;
}

export const NODE_SCHEMA = `
CREATE TABLE IF NOT EXISTS join_tokens (
  digest TEXT PRIMARY KEY, agent_id TEXT NOT NULL, created_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL, used_at INTEGER
) STRICT;
CREATE TABLE IF NOT EXISTS nodes (
  agent_id TEXT PRIMARY KEY, serial TEXT NOT NULL, next_serial TEXT NOT NULL,
  expires_at INTEGER NOT NULL, joined_at INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS node_endpoint (
  one INTEGER PRIMARY KEY CHECK (one = 1), address TEXT NOT NULL
) STRICT;
`;

function toNode(row: Record<string, SQLOutputValue>): NodeRow {
  return {
    agentId: String(row.agent_id),
    serial: String(row.serial),
    nextSerial: String(row.next_serial),
    expiresAt: Number(row.expires_at),
    joinedAt: Number(row.joined_at),
  };
}

export function openNodeStore(db: DatabaseSync): NodeStore {
  const token = db.prepare('SELECT * FROM join_tokens WHERE digest = ?');
  const use = db.prepare(
    'UPDATE join_tokens SET used_at = ? WHERE digest = ? AND used_at IS NULL AND expires_at > ?',
  );
  const node = db.prepare('SELECT * FROM nodes WHERE agent_id = ?');
  return {
    addToken: ({ digest, agentId, createdAt, expiresAt }) => {
      db.prepare('INSERT INTO join_tokens VALUES (?, ?, ?, ?, NULL)').run(
        digest,
        agentId,
        createdAt,
        expiresAt,
      );
    },
    token: (digest) => {
      const row = token.get(digest);
      if (row === undefined) return undefined;
      return {
        digest: String(row.digest),
        agentId: String(row.agent_id),
        createdAt: Number(row.created_at),
        expiresAt: Number(row.expires_at),
        ...(row.used_at !== null && { usedAt: Number(row.used_at) }),
      };
    },
    useToken: (digest, now) => Number(use.run(now, digest, now).changes) === 1,
    writeNode: ({ agentId, serial, nextSerial, expiresAt, joinedAt }) => {
      db.prepare('INSERT OR REPLACE INTO nodes VALUES (?, ?, ?, ?, ?)').run(
        agentId,
        serial,
        nextSerial,
        expiresAt,
        joinedAt,
      );
    },
    removeNode: (agentId) =>
      Number(db.prepare('DELETE FROM nodes WHERE agent_id = ?').run(agentId).changes) === 1,
    nodes: () => db.prepare('SELECT * FROM nodes ORDER BY joined_at').all().map(toNode),
    node: (agentId) => {
      const row = node.get(agentId);
      return row === undefined ? undefined : toNode(row);
    },
    awaitsNodes: (now) =>
      db.prepare('SELECT 1 FROM nodes WHERE expires_at > ?').get(now) !== undefined ||
      db.prepare('SELECT 1 FROM join_tokens WHERE used_at IS NULL AND expires_at > ?').get(now) !==
        undefined,
    nodeAddress: () => {
      const row = db.prepare('SELECT address FROM node_endpoint').get();
      return row === undefined ? undefined : String(row.address);
    },
    writeNodeAddress: (address) => {
      db.prepare('INSERT OR REPLACE INTO node_endpoint VALUES (1, ?)').run(address);
    },
    dropTokens: (time) => {
      db.prepare('DELETE FROM join_tokens WHERE expires_at < ?').run(time);
    },
  };
}
