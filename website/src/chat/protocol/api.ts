import type { Environment } from "../environment";
import { Failure } from "./failure";
import type { Http } from "./http";
import { readEvents, type ServerEvent } from "./sse";
import {
  eventOf,
  fieldsOf,
  itemOf,
  pageOf,
  threadOf,
  type WireEvent,
  type WireItem,
  type WirePage,
  type WireSummary,
} from "./wire";

export type Opinion = "positive" | "negative";

/** A body of POST /chatkit. The same key is only ever sent with the very same text. */
export type Body = string;

/** Silence after which a stream counts as cut: nobody says when a phone changes its network. */
const TURN_SILENCE_MS = 60_000;
const EVENTS_SILENCE_MS = 40_000;
const PAGE_MS = 30_000;
const QUICK_TRIES = 3;
const QUICK_DELAY_MS = 300;
/** Whoever waits in front of the page is told instead. */
const LONGEST_QUICK_MS = 10_000;

export function bodyOfMessage(threadId: string | null, text: string): Body {
  const input = { content: [{ type: "input_text", text }], attachments: [], inference_options: {} };
  return threadId === null
    ? bodyOf("threads.create", { input })
    : bodyOf("threads.add_user_message", { thread_id: threadId, input });
}

/** Refused when another message stands behind this one: what was said on another device would go. */
export function bodyOfRetry(threadId: string, itemId: string): Body {
  const params = { thread_id: threadId, item_id: itemId };
  return bodyOf("threads.retry_after_item", params, { only_last: true });
}

function bodyOf(type: string, params: object, metadata?: object): Body {
  return JSON.stringify({ type, params, metadata });
}

/** The server, as one person sees it. Every method rejects with a Failure. */
export class Api {
  constructor(
    private readonly http: Http,
    private readonly env: Environment,
  ) {}

  async threads(limit: number, after: string | null): Promise<WirePage<WireSummary>> {
    const cursor = after === null ? "" : `&after=${encodeURIComponent(after)}`;
    const response = await this.http.send(`/chat/threads?limit=${limit}${cursor}`);
    return pageOf(await this.#jsonOf(response), (row) => threadOf(row) as WireSummary | null);
  }

  /** Newest first. */
  async items(threadId: string, limit: number, after: string | null): Promise<WirePage<WireItem>> {
    const page = await this.#ask("items.list", { thread_id: threadId, limit, order: "desc", after });
    return pageOf(page, itemOf);
  }

  async feedback(threadId: string): Promise<Readonly<Record<string, Opinion>>> {
    const response = await this.http.send(`${pathOf(threadId)}/feedback`);
    return fieldsOf(fieldsOf(await this.#jsonOf(response)).data) as Record<string, Opinion>;
  }

  async rename(threadId: string, title: string): Promise<void> {
    await this.#do("threads.update", { thread_id: threadId, title });
  }

  async deleteThread(threadId: string): Promise<void> {
    await this.#do("threads.delete", { thread_id: threadId });
  }

  async rate(threadId: string, itemId: string, kind: Opinion): Promise<void> {
    await this.#do("items.feedback", { thread_id: threadId, item_ids: [itemId], kind });
  }

  async deleteItem(threadId: string, itemId: string): Promise<void> {
    const path = `${pathOf(threadId)}/items/${encodeURIComponent(itemId)}`;
    // Without a key: to delete what is gone already is what was wanted.
    await this.#soon(() => this.http.send(path, { method: "DELETE" })).catch(unlessGone);
  }

  /** Ends the answers that are being written in a conversation; what they said is kept. */
  async stop(threadId: string): Promise<void> {
    await this.#soon(() => this.http.send(`${pathOf(threadId)}/stop`, { method: "POST" }));
  }

  /** Sends a message or has one answered again. Returns whether the stream was whole. */
  async turn(
    body: Body,
    key: string,
    signal: AbortSignal,
    seen: (event: WireEvent) => void,
  ): Promise<boolean> {
    const response = await this.#post(body, key, signal);
    return this.#read(
      response,
      TURN_SILENCE_MS,
      unlessLeft(signal, (event) => parsed(event, seen)),
    );
  }

  /** Follows an answer that is being written, from its start; null when there is none. */
  async follow(
    threadId: string,
    signal: AbortSignal,
    seen: (event: WireEvent) => void,
  ): Promise<boolean | null> {
    const response = await this.http.send(`${pathOf(threadId)}/stream`, { signal });
    if (response.status === 204) return null;
    return this.#read(
      response,
      TURN_SILENCE_MS,
      unlessLeft(signal, (event) => parsed(event, seen)),
    );
  }

  /** Hears of changes until the stream ends. `alive` is called when it has begun, and whenever it is heard of. */
  async changes(
    lastId: string | null,
    signal: AbortSignal,
    alive: () => void,
    seen: (event: ServerEvent) => void,
  ): Promise<void> {
    const headers: Record<string, string> = lastId === null ? {} : { "Last-Event-ID": lastId };
    const response = await this.http.send("/chat/events", { headers, signal });
    await this.#read(response, EVENTS_SILENCE_MS, unlessLeft(signal, seen), alive);
  }

  /** Makes what a visitor of this browser said the account's. */
  async claim(): Promise<void> {
    await this.#soon(() => this.http.send("/chat/claim", { method: "POST" }), 10);
  }

  #post(body: Body, key: string | null, signal?: AbortSignal): Promise<Response> {
    const headers: Record<string, string> = { "Content-Type": "application/json" };
    if (key !== null) headers["Idempotency-Key"] = key;
    return this.http.send("/chatkit", { method: "POST", headers, body, ...(signal && { signal }) });
  }

  async #ask(type: string, params: object): Promise<unknown> {
    return this.#jsonOf(await this.#post(bodyOf(type, params), null));
  }

  /** A body that stops in its middle is cut, too: nothing else ends it. */
  async #jsonOf(response: Response): Promise<unknown> {
    let callOff = () => {};
    const late = new Promise<never>((_, reject) => {
      callOff = this.env.after(PAGE_MS, () => reject(new Error("It stopped in its middle.")));
    });
    try {
      return await Promise.race([response.json(), late]);
    } catch {
      throw new Failure("The connection to the server was lost.", "network");
    } finally {
      callOff();
    }
  }

  /** Changes something, once, however often it has to be sent. */
  async #do(type: string, params: object): Promise<void> {
    const key = this.env.newId();
    await this.#soon(() => this.#post(bodyOf(type, params), key));
  }

  /** For what somebody waits for: tries again a few times, soon. */
  async #soon(send: () => Promise<Response>, tries = QUICK_TRIES): Promise<void> {
    for (let left = tries - 1; ; left--) {
      try {
        await send();
        return;
      } catch (error) {
        if (!(error instanceof Failure && error.canRetry) || left === 0) throw error;
        const delay = error.retryAfterMs ?? QUICK_DELAY_MS * (0.5 + this.env.random());
        if (delay > LONGEST_QUICK_MS) throw error;
        await new Promise<void>((resolve) => this.env.after(delay, resolve));
      }
    }
  }

  /** Reads a stream; one that is silent for too long is cut. */
  async #read(
    response: Response,
    silenceMs: number,
    onEvent: (event: ServerEvent) => void,
    alive: () => void = () => {},
  ): Promise<boolean> {
    const body = response.body;
    if (body === null) return false;
    const silence = new AbortController();
    let off = this.env.after(silenceMs, () => silence.abort());
    const onLife = () => {
      off();
      off = this.env.after(silenceMs, () => silence.abort());
      alive();
    };
    try {
      return await readEvents(body, { onEvent, onLife, silence: silence.signal });
    } catch {
      throw new Failure("The connection to the server was lost.", "network");
    } finally {
      off();
    }
  }
}

/** What was read already when somebody left is not told any more: somebody else may read the same by now. */
function unlessLeft(signal: AbortSignal, seen: (event: ServerEvent) => void): (event: ServerEvent) => void {
  return (event) => {
    if (!signal.aborted) seen(event);
  };
}

function parsed(event: ServerEvent, seen: (event: WireEvent) => void): void {
  const wire = eventOf(event.data);
  if (wire !== null) seen(wire);
}

function unlessGone(error: unknown): void {
  if (!(error instanceof Failure && error.kind === "gone")) throw error;
}

function pathOf(threadId: string): string {
  return `/chat/threads/${encodeURIComponent(threadId)}`;
}
