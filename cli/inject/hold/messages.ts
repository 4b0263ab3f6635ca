import { toBytes } from '#agents/json.ts';
import { readingId } from '#agents/reading.ts';
import type { Member } from '#bus/directory.ts';
import { type BusRequest, encodeRequest } from '#bus/http-message.ts';
import { refuse } from '#identity/outcome.ts';
import { createToolCaller } from '#services/mcp/client.ts';

/** The payload of an ordinary reading; `source` sets it apart from those of the honest role. */
export function readingPayload(self: Member, source: string, row: number, at: string): Uint8Array {
  return toBytes({
    type: 'reading',
    id: readingId(self.token, source, row),
    row,
    measure: 'value',
    at,
    value: 60,
    late: false,
  });
}

/** The payload of an order as the action agent's own client would write it. */
export async function orderPayload(
  tool: string,
  given: Readonly<Record<string, unknown>>,
): Promise<Uint8Array> {
  let written: BusRequest | undefined;
  const call = createToolCaller<string>(async (request) => {
    written = request;
    return refuse('REQUEST_CLOSED', 'only its form was wanted');
  });
  await call(tool, given, []);
  if (written === undefined) throw new Error('the client wrote no request');
  return encodeRequest(written);
}
