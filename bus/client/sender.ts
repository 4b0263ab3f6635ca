import { parseAck } from '#custody/ack.ts';
import { audienceIncludes, audienceKey } from '#custody/record/audience.ts';
import { RECORD_LIFETIME_SECONDS } from '#custody/record/claims.ts';
import type { RecordDraft } from '#custody/record/sign.ts';
import type { RecordId, RecordKind, SignedRecord } from '#custody/record.ts';
import type { SpiffeId } from '#identity/spiffe-id.ts';
import type { Directory, Member } from '../directory.ts';
import type { Channel, DoorRefusal } from '../door.ts';
import { streamSubject } from '../subjects.ts';
import { CHANNELS, type SendHop } from '../telemetry.ts';
import { type Propagate, recordHeaders } from './envelope.ts';
import type { BusLink } from './link.ts';
import type { HeaderPairs, Incoming } from './nats.ts';
import { applyAck, type Outstanding } from './outstanding.ts';
import { createPlaces } from './places.ts';
import type { Signing } from './signing.ts';

export interface SendDraft {
  /** Message kind (`reading`, `finding`): its stream carries it. */
  readonly kind: string;
  /** SPIFFE IDs or role patterns; messages are numbered for each list by itself. */
  readonly audience: readonly string[];
  readonly causes?: readonly RecordId[];
  readonly payload: Uint8Array;
  /** Default `msg`; sources say `root`. */
  readonly recordKind?: RecordKind;
}

export interface Sender {
  /** Resolves with the record's id when it is on its way and there was a place for it. */
  send(draft: SendDraft): Promise<RecordId>;
  onAck(message: Incoming): DoorRefusal | undefined;
  /** Repeats and signs again what is due; call it a few times a second. */
  tick(): void;
  resend(): void;
  flush(): Promise<void>;
  close(reason: Error): void;
  /** Receivers that have not acknowledged what was first sent more than so long ago: its number. */
  unacknowledged(ms: number): ReadonlyMap<SpiffeId, number>;
  status(): { readonly outstanding: number; readonly acknowledged: number; readonly again: number };
}

const REPEAT_MS = 3000;

/** Sends to streams and keeps each message until all its receivers have acknowledged it. */
export function createSender(options: {
  readonly link: BusLink;
  readonly self: Member;
  readonly directory: Directory;
  readonly channel: Channel;
  readonly session: string;
  readonly signing: Pick<Signing, 'soon'>;
  readonly submit: (record: SignedRecord, payload: Uint8Array) => Promise<void>;
  readonly clock: () => number;
  readonly limit: number;
  readonly propagate?: Propagate | undefined;
}): Sender {
  const { link, self, directory, channel, clock, signing } = options;
  const places = createPlaces(options.limit);
  const open = new Set<Outstanding>();
  /** Those that are about to be signed again. */
  const asked = new Set<Outstanding>();
  /** Receiver and audience → the session in which the receiver counts what came to that audience. */
  const sessions = new Map<string, string>();
  /** To which messages went: an acknowledgement that counts any other says nothing of ours. */
  const audiences = new Set<string>();
  const chainSent = new Set<string>();
  let acknowledged = 0;
  let again = 0;

  function receiversOf(audience: readonly string[]): readonly SpiffeId[] {
    const receivers = directory.members
      .map(({ id }) => id)
      .filter((id) => id !== self.id && audienceIncludes(audience, id));
    if (receivers.length === 0) throw new Error(`no member is addressed by ${audience.join(' ')}`);
    audiences.add(audienceKey(audience));
    return receivers;
  }

  const recordDraft = (draft: SendDraft): RecordDraft => ({
    aud: draft.audience,
    sbj: streamSubject(self, draft.kind),
    knd: draft.recordKind ?? 'msg',
    par: draft.causes ?? [],
    payload: draft.payload,
  });

  function publish(item: Outstanding, chain: boolean): void {
    item.due = clock() + REPEAT_MS;
    if (!link.connected()) return;
    const { record } = item;
    const headers: HeaderPairs = [
      ...recordHeaders(record, { chain, trace: item.trace }),
      // The own token inside: nobody else can have taken this id before. A repetition that nobody
      // acknowledged has an id of its own: the stream may have delivered the one before to a
      // process that was killed, and would drop this one as known.
      ['Nats-Msg-Id', `${self.token}.${record.id}.${item.repeats}`],
    ];
    link.publish({ subject: record.claims.sbj, payload: item.payload, headers });
  }

  function publishFirst(item: Outstanding): void {
    const [leaf] = item.record.chain;
    const key = `${leaf === undefined ? '' : Buffer.from(leaf).toString('base64')} ${audienceKey(item.audience)}`;
    if (chainSent.size > 64) chainSent.clear();
    publish(item, !chainSent.has(key));
    if (link.connected()) chainSent.add(key);
  }

  function signAgain(item: Outstanding, forget: boolean): void {
    item.due = clock() + REPEAT_MS;
    if (forget) item.signatures.clear();
    if (asked.has(item)) return;
    asked.add(item);
    // Published also if it was acknowledged meanwhile: a number that never came would be missed.
    const use = (record: SignedRecord): void => {
      item.record = record;
      item.signatures.add(record.claims.rsq);
      again += 1;
      publish(item, true);
      void options.submit(record, item.payload).catch(() => undefined);
    };
    void signing
      .soon(recordDraft(item), use)
      // No SVID now: the message stays and is tried at the next tick.
      .catch(() => undefined)
      .finally(() => asked.delete(item));
  }

  function expired(item: Outstanding): boolean {
    return clock() >= (item.record.claims.iat + RECORD_LIFETIME_SECONDS - 2) * 1000;
  }

  async function send(draft: SendDraft, hop: SendHop): Promise<RecordId> {
    const receivers = receiversOf(draft.audience);
    const trace = options.propagate?.inject() ?? [];
    // Signed only when it can go: a record that waited for its place would arrive stale.
    await places.enter();
    const use = (record: SignedRecord) => {
      hop.record = record;
      const item: Outstanding = {
        kind: draft.kind,
        audience: draft.audience,
        causes: draft.causes ?? [],
        recordKind: draft.recordKind ?? 'msg',
        payload: draft.payload,
        remaining: new Set(receivers),
        signatures: new Set([record.claims.rsq]),
        trace,
        since: clock(),
        record,
        due: 0,
        repeats: 0,
      };
      open.add(item);
      publishFirst(item);
      return { id: record.id, submitted: options.submit(record, draft.payload) };
    };
    const sent = await signing.soon(recordDraft(draft), use).catch((reason: unknown) => {
      places.leave();
      throw reason;
    });
    await sent.submitted;
    return sent.id;
  }

  return {
    send(draft) {
      const hop: SendHop = { identity: self.id, kind: draft.kind, size: draft.payload.length };
      return CHANNELS.send.tracePromise(() => send(draft, hop), hop);
    },
    onAck(message) {
      const verdict = channel.check(message);
      if (!verdict.ok) return verdict;
      const ack = parseAck(verdict.payload);
      if (!ack.ok || ack.value.type !== 'ack') return undefined;
      const { sid, to, session, aud } = ack.value;
      const audience = audienceKey(aud);
      if (to !== self.id || sid !== options.session || !audiences.has(audience)) return undefined;
      const from = verdict.signedBy;
      const counter = `${from} ${audience}`;
      const before = sessions.get(counter);
      sessions.set(counter, session);
      const renewed = before !== undefined && before !== session;
      const effect = applyAck(open, from, ack.value, renewed);
      for (const item of effect.done) {
        open.delete(item);
        acknowledged += 1;
        places.leave();
      }
      for (const item of effect.again) signAgain(item, true);
      return undefined;
    },
    tick() {
      const now = clock();
      for (const item of open) {
        if (item.due > now) continue;
        item.repeats += 1;
        if (expired(item)) signAgain(item, false);
        else publish(item, true);
      }
    },
    resend() {
      for (const item of open) publish(item, true);
    },
    flush: () => places.empty(),
    close: (reason) => places.close(reason),
    unacknowledged(ms) {
      const before = clock() - ms;
      const late = new Map<SpiffeId, number>();
      for (const { since, remaining } of open) {
        // In the order of sending: behind the first that is younger all are.
        if (since > before) break;
        for (const id of remaining) late.set(id, (late.get(id) ?? 0) + 1);
      }
      return late;
    },
    status: () => ({ outstanding: open.size, acknowledged, again }),
  };
}
