import type { RecordDraft, RecordSigner } from '#custody/record/sign.ts';
import type { SignedRecord } from '#custody/record.ts';

/** Records under one signature: a path of six hashes, 256 characters. */
export const BATCH_LIMIT = 64;

/** The one way to a signature in this process, so that records leave in the order of their numbers. */
export interface Signing {
  /** At once, behind what waits. @throws Error when it cannot be signed. */
  now(draft: RecordDraft): SignedRecord;
  /**
   * At the end of this turn of the event loop, under one signature with all that is asked for in it;
   * alone it is an ordinary JWS. `use` is called in the order of the numbers and sends the record;
   * resolves with what it returns. Rejects when it cannot be signed.
   */
  soon<T>(draft: RecordDraft, use: (record: SignedRecord) => T): Promise<T>;
  /** Signs what waits. */
  flush(): void;
}

interface Asked {
  readonly draft: RecordDraft;
  readonly use: (record: SignedRecord) => void;
  readonly fail: (reason: unknown) => void;
}

/**
 * A turn takes longer the more there is to do, and the batch grows with it: no timer, so that a
 * single record waits for nobody.
 */
export function createSigning(options: {
  readonly signer: Pick<RecordSigner, 'sign' | 'signBatch'>;
  /** Calls back once the current turn is over: `setImmediate`. */
  readonly defer: (work: () => void) => void;
}): Signing {
  const { signer, defer } = options;
  let waiting: Asked[] = [];
  let deferred = false;

  function signAll(asked: readonly Asked[]): void {
    const [first] = asked;
    if (first === undefined) return;
    try {
      const records =
        asked.length === 1
          ? [signer.sign(first.draft)]
          : signer.signBatch(asked.map(({ draft }) => draft));
      for (const [at, record] of records.entries()) asked[at]?.use(record);
    } catch (reason) {
      if (asked.length === 1) first.fail(reason);
      // A draft that breaks the profile is nobody else's fault: no number is used up yet.
      else for (const one of asked) signAll([one]);
    }
  }

  function flush(): void {
    const asked = waiting;
    waiting = [];
    for (let at = 0; at < asked.length; at += BATCH_LIMIT) {
      signAll(asked.slice(at, at + BATCH_LIMIT));
    }
  }

  return {
    now(draft) {
      flush();
      return signer.sign(draft);
    },
    soon<T>(draft: RecordDraft, use: (record: SignedRecord) => T): Promise<T> {
      const { promise, resolve, reject } = Promise.withResolvers<T>();
      waiting.push({
        draft,
        // What goes wrong after the signature is the asker's own, and must not sign anything again.
        use(record) {
          try {
            resolve(use(record));
          } catch (reason) {
            reject(reason);
          }
        },
        fail: reject,
      });
      if (!deferred) {
        deferred = true;
        defer(() => {
          deferred = false;
          flush();
        });
      }
      return promise;
    },
    flush,
  };
}
