import { accept, type Outcome, refuse } from '#identity/outcome.ts';

/** A request as it lies in the signed payload. */
export interface HttpRequest {
  readonly method: string;
  readonly path: string;
  readonly contentType: string;
  readonly body: string;
}

export interface HttpResponse {
  readonly status: number;
  readonly contentType: string;
  readonly body: string;
}

export function parseHttpRequest(payload: Uint8Array): Outcome<HttpRequest, 'ENVELOPE_INVALID'> {
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload));
  } catch {
    return refuse('ENVELOPE_INVALID', 'the payload is not JSON in UTF-8');
  }
  if (typeof json !== 'object' || json === null) {
    return refuse('ENVELOPE_INVALID', 'the payload is not an object');
  }
  const given = json as Record<string, unknown>;
  const { method, path, contentType, body } = given;
  if (
    typeof method !== 'string' ||
    typeof path !== 'string' ||
    typeof contentType !== 'string' ||
    typeof body !== 'string'
  ) {
    return refuse('ENVELOPE_INVALID', 'method, path, contentType and body are texts');
  }
  return accept({ method, path, contentType, body });
}
