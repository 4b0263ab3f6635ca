import { DatabaseSync } from 'node:sqlite';
import type { RecordId } from '#custody/record.ts';
import { accept, type Outcome, refuse } from '#identity/outcome.ts';
import type { SpiffeId } from '#identity/spiffe-id.ts';

/** What an order asks for. `deltaPct` in percentage points of the valve's opening. */
export type Work =
  | { readonly kind: 'signal'; readonly district: string; readonly plan: string }
  | { readonly kind: 'valve'; readonly deltaPct: number };

export interface Order {
  /** The record that asked for it, an agent's; an order is applied once under this id. */
  readonly id: RecordId;
  readonly work: Work;
  /** The record that carried it here, and who signed that one. */
  readonly carriedBy: RecordId;
  readonly by: SpiffeId;
}

export interface Receipt {
  readonly order: RecordId;
  /** False when the same order had been applied before: nothing moved this time. */
  readonly applied: boolean;
}

export interface AppliedOrder {
  readonly order: string;
  readonly carried_by: string;
  readonly by: string;
  readonly work: unknown;
  /** Seconds since the epoch. */
  readonly applied_at: number;
}

export interface WorksState {
  /** Plan per district that has had one set; every other district runs `A`. */
  readonly signals: Readonly<Record<string, string>>;
  /** Opening in percent, 0 to 100. */
  readonly valve_pct: number;
  readonly orders: readonly AppliedOrder[];
}

export interface Works {
  order(order: Order): Outcome<Receipt, 'ORDER_CONFLICT' | 'PLAN_UNKNOWN'>;
  state(): WorksState;
  close(): void;
}

/** The plans that the signals hold. What the machine cannot do, no policy makes it do. */
export const SIGNAL_PLANS: readonly string[] = ['A', 'B', 'C'];
const VALVE_START_PCT = 50;
/** The newest orders that `state` shows; all are kept. */
const SHOWN_ORDERS = 200;

/**
 * Opens the works with their state in a file (or `:memory:`), so that a restart forgets neither the
 * valve's position nor which orders were carried out.
 * @throws Error when the file cannot be opened.
 */
export function openWorks(path: string, now: () => Date): Works {
  const db = new DatabaseSync(path);
  db.exec(`
    CREATE TABLE IF NOT EXISTS signals (district TEXT PRIMARY KEY, plan TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS valve (id INTEGER PRIMARY KEY CHECK (id = 1), pct REAL NOT NULL);
    CREATE TABLE IF NOT EXISTS orders (
      seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, work TEXT NOT NULL,
      carried_by TEXT NOT NULL, signed_by TEXT NOT NULL, applied_at INTEGER NOT NULL);
    INSERT OR IGNORE INTO valve (id, pct) VALUES (1, ${VALVE_START_PCT});`);
  return {
    order: (order) => {
      const { work } = order;
      if (work.kind === 'signal' && !SIGNAL_PLANS.includes(work.plan)) {
        return refuse('PLAN_UNKNOWN', `the signals have the plans ${SIGNAL_PLANS.join(', ')}`);
      }
      const spelled = spell(work);
      const before = db.prepare('SELECT work FROM orders WHERE id = ?').get(order.id);
      if (before !== undefined) {
        if (before.work === spelled) return accept({ order: order.id, applied: false });
        return refuse('ORDER_CONFLICT', 'this record id already stands for another order');
      }
      db.exec('BEGIN IMMEDIATE');
      try {
        carryOut(db, work);
        db.prepare(
          'INSERT INTO orders (id, work, carried_by, signed_by, applied_at) VALUES (?, ?, ?, ?, ?)',
        ).run(order.id, spelled, order.carriedBy, order.by, Math.floor(now().getTime() / 1000));
        db.exec('COMMIT');
      } catch (error) {
        db.exec('ROLLBACK');
        throw error;
      }
      return accept({ order: order.id, applied: true });
    },
    state: () => readState(db),
    close: () => db.close(),
  };
}

function carryOut(db: DatabaseSync, work: Work): void {
  switch (work.kind) {
    case 'signal':
      db.prepare(
        'INSERT INTO signals (district, plan) VALUES (?, ?) ON CONFLICT DO UPDATE SET plan = excluded.plan',
      ).run(work.district, work.plan);
      return;
    case 'valve':
      db.prepare('UPDATE valve SET pct = max(0, min(100, pct + ?))').run(work.deltaPct);
      return;
    default:
      work satisfies never;
  }
}

function readState(db: DatabaseSync): WorksState {
  const signals = db.prepare('SELECT district, plan FROM signals ORDER BY district').all();
  const orders = db
    .prepare('SELECT * FROM (SELECT * FROM orders ORDER BY seq DESC LIMIT ?) ORDER BY seq')
    .all(SHOWN_ORDERS);
  return {
    signals: Object.fromEntries(signals.map((row) => [String(row.district), String(row.plan)])),
    valve_pct: Number(db.prepare('SELECT pct FROM valve').get()?.pct),
    orders: orders.map((row) => ({
      order: String(row.id),
      carried_by: String(row.carried_by),
      by: String(row.signed_by),
      work: JSON.parse(String(row.work)),
      applied_at: Number(row.applied_at),
    })),
  };
}

/** One spelling per work, so that two orders can be compared as texts. */
function spell(work: Work): string {
  return work.kind === 'signal'
    ? JSON.stringify({ kind: work.kind, district: work.district, plan: work.plan })
    : JSON.stringify({ kind: work.kind, deltaPct: work.deltaPct });
}
