import { cutConnections, type SystemConnection } from '#bus/cut.ts';

/** So many revocations as come at once are one question to the broker. */
const GATHER_MS = 20;
/** A connection that a gate let in while it was told is there by then. */
const AGAIN_MS = 1000;

/**
 * Ends connections to the broker whose certificate was revoked. Without it they would last until the
 * certificate's own end: the gate is asked when somebody enters, and never again.
 * @param connection of the broker's administrator; absent while there is none
 * @returns what is told each revoked certificate's thumbprint
 */
export function createCutter(
  connection: () => SystemConnection | undefined,
): (thumbprint: string) => void {
  const gathered = new Set<string>();

  async function cut(thumbprints: ReadonlySet<string>): Promise<void> {
    const to = connection();
    if (to === undefined) return;
    try {
      await cutConnections(to, thumbprints);
    } catch {
      // The broker is away, and every connection with it; a gate refuses them when it is back.
    }
  }

  return (thumbprint) => {
    gathered.add(thumbprint);
    if (gathered.size > 1) return;
    setTimeout(() => {
      const thumbprints = new Set(gathered);
      gathered.clear();
      void cut(thumbprints);
      setTimeout(() => void cut(thumbprints), AGAIN_MS).unref();
    }, GATHER_MS).unref();
  };
}
