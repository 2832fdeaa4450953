import { delayOf } from "../../chat/connection/backoff";
import type { Environment } from "../../chat/environment";
import { Pauses } from "../../chat/pause";
import { failureOf } from "../../chat/protocol/failure";
import type { Credentials } from "../../chat/protocol/http";

/** Requests that have something answered. With a key the server does it once, however often it is asked. */
const TURNS: ReadonlySet<unknown> = new Set([
  "threads.create",
  "threads.add_user_message",
  "threads.add_client_tool_output",
  "threads.custom_action",
  "threads.retry_after_item",
]);
const TRIES = 10;
const LONGEST_PAUSE_MS = 15_000;

/**
 * A `fetch` for the vendor's component: it says who asks, and sends a message again, with the same key, until somebody
 * answered. An answer that breaks off is the component's: it shows what it has, and is told to fetch the rest.
 */
export function keyedFetch(env: Environment, credentials: Credentials): typeof fetch {
  const pauses = new Pauses(env);

  const sendOnce = async (url: string, init: RequestInit, headers: Headers): Promise<Response> => {
    for (const [name, value] of Object.entries(await credentials.headers())) headers.set(name, value);
    const response = await env.fetch(url, { ...init, headers, credentials: "include" });
    credentials.answered(response);
    return response;
  };
  const send = async (url: string, init: RequestInit, headers: Headers): Promise<Response> => {
    const response = await sendOnce(url, init, headers);
    return response.status === 401 && credentials.refused() ? sendOnce(url, init, headers) : response;
  };
  /** How long to wait until the next try; null when this is an answer to be shown. */
  const pauseAfter = async (response: Response | null, failures: number): Promise<number | null> => {
    if (response?.ok) return null;
    const pause = delayOf(failures, LONGEST_PAUSE_MS, env.random());
    if (response === null) return pause;
    const failure = await failureOf(response.clone(), env.now(), () => null);
    return failure.canRetry ? (failure.retryAfterMs ?? pause) : null;
  };

  return async (input, init = {}) => {
    const url = input instanceof Request ? input.url : String(input);
    const headers = new Headers(init.headers);
    if (!isTurn(init.body)) return send(url, init, headers);
    headers.set("Idempotency-Key", env.newId());
    const signal = init.signal ?? new AbortController().signal;
    for (let failures = 0; ; failures += 1) {
      const outcome = await send(url, init, headers).catch((error: unknown) => ({ error }));
      const response = outcome instanceof Response ? outcome : null;
      const pause = await pauseAfter(response, failures);
      if (pause !== null && failures + 1 < TRIES && !signal.aborted) {
        await pauses.wait(pause, signal);
        if (!signal.aborted) continue;
      }
      if (outcome instanceof Response) return outcome;
      throw outcome.error;
    }
  };
}

function isTurn(body: unknown): boolean {
  if (typeof body !== "string") return false;
  try {
    return TURNS.has((JSON.parse(body) as { type?: unknown } | null)?.type);
  } catch {
    return false;
  }
}
