/** Requests to the pack's own routes. */

import { api } from "./host.js";

/** A newer request, of another page perhaps, or too many at once. */
const BUSY = [409, 429];
const RETRY_MS = 300;

/**
 * The answer to a POST; while the server is busy, it is asked once more after the time it names.
 *
 * Throws Error with the server's own words, and `isBusy` where it may be asked again as it is.
 */
export async function ask(path, request, signal) {
  const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(request), signal };
  let response = await api.fetchApi(path, options);
  if (BUSY.includes(response.status)) {
    const wait_ms = Number(response.headers.get("Retry-After")) * 1000 || RETRY_MS;
    await new Promise((done) => setTimeout(done, wait_ms));
    signal?.throwIfAborted();
    response = await api.fetchApi(path, options);
  }
  if (response.ok) return response;
  const answer = await response.json().catch(() => ({}));
  const error = new Error(answer.error ?? `${response.status} ${response.statusText}`);
  throw Object.assign(error, { isBusy: BUSY.includes(response.status) });
}
