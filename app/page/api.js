// @ts-check
/** The server, as one user sees it: requests of the ChatKit protocol, and their streams. */

/**
 * @typedef {"alice" | "bob" | "visitor" | "account"} User
 * @typedef {{token: string, seconds: number}} Token
 * @typedef {"positive" | "negative"} Opinion
 * @typedef {{id: string, title?: string | null, status: {type: string, reason?: string | null}}} Thread
 * @typedef {{id: string, type: string, [field: string]: any}} Item
 * @typedef {{type: string, [field: string]: any}} StreamEvent
 */
/**
 * @template T
 * @typedef {{data: T[], has_more: boolean, after?: string | null}} Page
 */

const EARLY_MS = 30_000; // A token is renewed this long before it expires.

/** A failure with a message for the person who sees it. */
export class Failure extends Error {
  /**
   * @param {string} message
   * @param {boolean} canRetry whether the same may succeed later, unchanged
   */
  constructor(message, canRetry) {
    super(message);
    this.canRetry = canRetry;
  }
}

export class Api {
  /** @type {string | null} */ #token = null;
  #goodUntil = 0;

  /** @param {User} user @param {() => Promise<Token>} newToken asked when a token is needed; a visitor needs none */
  constructor(user, newToken) {
    this.user = user;
    this.newToken = newToken;
  }

  /** @param {string | null} after @returns {Promise<Page<Thread>>} */
  threads(after) {
    return this.#ask("threads.list", { limit: 20, order: "desc", after });
  }

  /** @param {string} threadId @param {string | null} after @returns {Promise<Page<Item>>} newest first */
  items(threadId, after) {
    return this.#ask("items.list", { thread_id: threadId, limit: 20, order: "desc", after });
  }

  /** @param {string} threadId @returns {Promise<Record<string, Opinion>>} by item id */
  async feedback(threadId) {
    const response = await this.#fetch(`/chat/threads/${encodeURIComponent(threadId)}/feedback`, {});
    return (await response.json()).data;
  }

  /** @param {string} threadId @param {string} title @returns {Promise<Thread>} */
  rename(threadId, title) {
    return this.#ask("threads.update", { thread_id: threadId, title });
  }

  /** @param {string} threadId @returns {Promise<unknown>} */
  remove(threadId) {
    return this.#ask("threads.delete", { thread_id: threadId });
  }

  /** @param {string} threadId @param {string} itemId @param {Opinion} kind @returns {Promise<unknown>} */
  rate(threadId, itemId, kind) {
    return this.#ask("items.feedback", { thread_id: threadId, item_ids: [itemId], kind });
  }

  /**
   * Say something, in a new thread unless one is given.
   * @param {string | null} threadId @param {string} text @param {AbortSignal} signal
   */
  say(threadId, text, signal) {
    const input = { content: [{ type: "input_text", text }], attachments: [], inference_options: {} };
    return threadId === null
      ? this.#stream("threads.create", { input }, signal)
      : this.#stream("threads.add_user_message", { thread_id: threadId, input }, signal);
  }

  /** Have a message answered again. @param {string} threadId @param {string} itemId @param {AbortSignal} signal */
  again(threadId, itemId, signal) {
    return this.#stream("threads.retry_after_item", { thread_id: threadId, item_id: itemId }, signal);
  }

  /** @param {string} type @param {object} params @returns {Promise<any>} */
  async #ask(type, params) {
    return (await this.#post(type, params)).json();
  }

  /**
   * Yields the events of a stream. Breaking off the loop, or the signal, closes it: the server stops answering.
   * @param {string} type @param {object} params @param {AbortSignal} signal
   * @returns {AsyncGenerator<StreamEvent, void, void>}
   */
  async *#stream(type, params, signal) {
    const response = await this.#post(type, params, signal);
    const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
    const decoder = new TextDecoder();
    let rest = "";
    try {
      while (true) {
        const { done, value } = await reader.read();
        if (done) return;
        const blocks = (rest + decoder.decode(value, { stream: true })).split("\n\n");
        rest = /** @type {string} */ (blocks.pop());
        for (const block of blocks) {
          if (block.startsWith("data: ")) yield JSON.parse(block.slice("data: ".length));
        }
      }
    } catch (error) {
      throw signal.aborted ? error : new Failure("The connection to the server was lost.", true);
    } finally {
      reader.cancel().catch(() => {});
    }
  }

  /** @param {string} type @param {object} params @param {AbortSignal} [signal] */
  #post(type, params, signal) {
    const body = JSON.stringify({ type, params });
    return this.#fetch("/chatkit", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body,
      ...(signal && { signal }),
    });
  }

  /** As the user; with a new token when the server does not take the one at hand. @param {string} path @param {RequestInit} init */
  async #fetch(path, init) {
    let response = await this.#authorized(path, init);
    if (response.status === 401 && this.user !== "visitor") {
      this.#token = null;
      response = await this.#authorized(path, init);
    }
    if (!response.ok) throw await failureOf(response);
    return response;
  }

  /** @param {string} path @param {RequestInit} init */
  async #authorized(path, init) {
    const headers = new Headers(init.headers);
    if (this.user !== "visitor") headers.set("Authorization", `Bearer ${await this.#freshToken()}`);
    return reach(path, { ...init, headers });
  }

  async #freshToken() {
    if (this.#token === null || Date.now() > this.#goodUntil - EARLY_MS) {
      const { token, seconds } = await this.newToken();
      this.#token = token;
      this.#goodUntil = Date.now() + seconds * 1000;
    }
    return this.#token;
  }
}

/** A token for one of the demo's users, who have no passwords. @param {User} user @returns {Promise<Token>} */
export async function demoToken(user) {
  const response = await reach("/demo/sign-in", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ user }),
  });
  if (!response.ok) throw await failureOf(response);
  const { token, expires_in: seconds } = await response.json();
  return { token, seconds };
}

/** Fetch; a server that is away is a Failure. @param {string} path @param {RequestInit} init */
export async function reach(path, init) {
  try {
    return await fetch(path, init);
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new Failure("The server cannot be reached. Is it running?", true);
  }
}

/** @param {Response} response */
async function failureOf(response) {
  const body = await response.json().catch(() => null);
  const message = body?.error?.message ?? `The server answered with an error (${response.status}).`;
  return new Failure(message, response.status >= 500 || response.status === 429);
}
