import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { reasonOf } from './run.mjs';

/**
 * @typedef {object} DownloadLimits
 * @property {number} connectMs until the response's headers are there, redirects included
 * @property {number} idleMs between two pieces of the body
 * @property {number} totalMs
 * @property {number} maxBytes
 */

/** @type {DownloadLimits} */
export const DOWNLOAD_LIMITS = {
  connectMs: 10_000,
  idleMs: 10_000,
  totalMs: 300_000,
  maxBytes: 300 * 1024 * 1024,
};

/**
 * Fetches `url` into the new file `target` and compares the SHA-256 of every byte written with the
 * pinned one. Only a file whose sum is right may be opened by anything else: the host, the mirror
 * and the path to them are not trusted.
 *
 * @param {{ url: string, target: string, sha256: string, limits?: DownloadLimits,
 *   signal?: AbortSignal }} order
 * @returns {Promise<string>} empty when the file is there and right, else why not, in one line
 */
export async function download(order) {
  const limits = order.limits ?? DOWNLOAD_LIMITS;
  const stop = new AbortController();
  let overdue = '';
  /** @param {number} ms @param {string} why */
  const deadline = (ms, why) =>
    setTimeout(() => {
      overdue = why;
      stop.abort();
    }, ms);
  const onAbort = () => stop.abort();
  order.signal?.addEventListener('abort', onAbort);
  const total = deadline(limits.totalMs, `not complete after ${limits.totalMs / 1000} s`);
  let step = deadline(limits.connectMs, `no answer within ${limits.connectMs / 1000} s`);
  try {
    const response = await fetch(order.url, { signal: stop.signal, redirect: 'follow' });
    if (!response.ok) return `${hostOf(order.url)} answered ${response.status}`;
    if (response.body === null) return `${hostOf(order.url)} sent nothing`;
    const hash = createHash('sha256');
    let size = 0;
    const file = await open(order.target, 'wx', 0o600);
    try {
      for await (const piece of response.body) {
        clearTimeout(step);
        step = deadline(limits.idleMs, `stalled for ${limits.idleMs / 1000} s`);
        size += piece.length;
        if (size > limits.maxBytes) return `larger than ${limits.maxBytes} bytes`;
        hash.update(piece);
        await file.write(piece);
      }
    } finally {
      await file.close();
    }
    const got = hash.digest('hex');
    if (got === order.sha256) return '';
    return `SHA-256 of ${size} bytes is ${got}, pinned is ${order.sha256}: not used`;
  } catch (error) {
    return overdue || reasonOf(error);
  } finally {
    clearTimeout(step);
    clearTimeout(total);
    order.signal?.removeEventListener('abort', onAbort);
    stop.abort();
  }
}

/** @param {string} url @returns {string} */
function hostOf(url) {
  return URL.canParse(url) ? new URL(url).host : url;
}
