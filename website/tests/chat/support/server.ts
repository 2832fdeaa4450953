/** A server in memory that keeps its promises: one message and one answer per key, whatever is lost on the way. */

import type { VirtualTime } from "./time";

interface Item {
  id: string;
  thread_id: string;
  type: string;
  created_at: string;
  content: { type: string; text: string; annotations?: unknown[] }[];
  [field: string]: unknown;
}

interface Thread {
  id: string;
  owner: string;
  title: string | null;
  status: { type: string; reason?: string };
  items: Item[];
  created: number;
  active: number;
}

interface Keyed {
  body: string;
  thread: Thread;
  message: Item;
}

/** What happens to a request on its way. */
export type Fault =
  | "lost" // before it arrived
  | "unanswered" // after it was done
  | { readonly status: number; readonly retryAfter?: number }
  | { readonly cutAfter: number };

export interface Arrived {
  readonly path: string;
  readonly method: string;
  readonly key: string | null;
  readonly body: string;
  readonly owner: string;
}

export class FakeServer {
  readonly threads: Thread[] = [];
  readonly arrived: Arrived[] = [];
  /** Passwords by e-mail address. */
  readonly accounts = new Map<string, string>();
  /** The paths of all requests, those included that got lost. */
  readonly asked: string[] = [];
  /** Decides of each request but those for health. */
  fault: (request: { path: string; method: string }) => Fault | null = () => null;
  /** Whether anything arrives at all, and whether the database answers. */
  reachable = true;
  ready = true;
  anonymous = "memory";
  longest = 1_000;
  /** Whether an answer that was cut is begun anew by another process. */
  diesWhileAnswering = false;
  /** Holds answers after their first word. */
  hold: Promise<void> | null = null;
  answer: (text: string) => string[] = (text) => text.split(/(?<= )/);
  readonly #keyed = new Map<string, Keyed>();
  readonly #listeners = new Map<string, Set<(text: string) => void>>();
  readonly #running = new Map<string, { begun: string; ended: () => Promise<string>; stop: () => void }>();
  readonly #opinions = new Map<string, string>();
  #ids = 0;

  constructor(private readonly time: VirtualTime) {}

  async fetch(url: string, init: RequestInit, cookies: Map<string, string>): Promise<Response> {
    const [path = "", query = ""] = url.split("?");
    const method = init.method ?? "GET";
    const signal = init.signal as AbortSignal | undefined;
    await Promise.resolve();
    this.asked.push(path);
    if (signal?.aborted) throw new DOMException("aborted", "AbortError");
    if (!this.reachable) throw new TypeError("Failed to fetch");
    if (path === "/healthz") return json({ status: "ok" });
    if (path === "/readyz")
      return this.ready ? json({ status: "ready" }) : refusal(503, "unavailable", "Not now.");
    const fault = this.fault({ path, method });
    if (fault === "lost") throw new TypeError("Failed to fetch");
    if (fault !== null && typeof fault === "object" && "status" in fault) {
      return refusal(fault.status, "busy", "Please wait.", fault.retryAfter);
    }
    const response = this.#answer(path, new URLSearchParams(query), method, init, cookies, fault);
    if (fault === "unanswered") {
      await response.body?.cancel();
      throw new TypeError("Failed to fetch");
    }
    return response;
  }

  /** Texts of a conversation's messages, the person's only. */
  said(thread: Thread): string[] {
    return thread.items
      .filter(({ type }) => type === "user_message")
      .map(({ content }) => content[0]?.text ?? "");
  }

  /** Something comes from another device. */
  say(threadId: string, owner: string, text: string): Item {
    const thread = this.#thread(threadId, owner) as Thread;
    const message = this.#add(thread, "user_message", text);
    this.#add(thread, "assistant_message", text);
    return message;
  }

  drop(threadId: string, itemId: string): void {
    for (const thread of this.threads.filter(({ id }) => id === threadId)) {
      thread.items = thread.items.filter(({ id }) => id !== itemId);
      this.#tell(thread.owner, "item.removed", thread.id, itemId);
    }
  }

  begin(owner: string, title: string, texts: readonly string[]): Thread {
    const thread = this.#begin(`thr_${++this.#ids}`, owner, title);
    for (const text of texts) this.say(thread.id, owner, text);
    return thread;
  }

  #answer(
    path: string,
    query: URLSearchParams,
    method: string,
    init: RequestInit,
    cookies: Map<string, string>,
    fault: Fault | null,
  ): Response {
    const headers = new Headers(init.headers);
    const body = typeof init.body === "string" ? init.body : "";
    if (path === "/chat/policy") return this.#policy();
    if (path.startsWith("/api/auth/")) return this.#accounts(path.slice("/api/auth/".length), body, cookies);
    if (path === "/demo/sign-in")
      return json({ token: tokenOf(`demo-${JSON.parse(body).user}`), expires_in: 900 });
    const owner = this.#owner(headers, cookies);
    if (owner === null) return refusal(401, "unauthorized", "Please sign in to chat.");
    const key = headers.get("Idempotency-Key");
    this.arrived.push({ path, method, key, body, owner });
    if (path === "/chatkit")
      return this.#chatkit(JSON.parse(body), body, key, owner, fault, init.signal ?? null);
    if (path === "/chat/threads") return this.#list(query, owner);
    if (path === "/chat/events") return this.#events(owner, init.signal ?? null);
    if (path === "/chat/claim") return this.#claim(owner, cookies);
    return this.#ofThread(path, method, owner, init.signal ?? null);
  }

  /** As Better Auth does it; not there without accounts. */
  #accounts(path: string, body: string, cookies: Map<string, string>): Response {
    if (this.accounts.size === 0) return refusal(404, "not_found", "Nothing here.");
    const user = (email: string) => ({ user: { id: `id-${email}`, email } });
    const signedIn = cookies.get("signed-in");
    if (path === "get-session") return json(signedIn === undefined ? null : user(signedIn));
    if (path === "token") {
      return signedIn === undefined
        ? new Response("{}", { status: 401 })
        : json({ token: tokenOf(`id-${signedIn}`) });
    }
    if (path === "sign-out") {
      cookies.delete("signed-in");
      return json({ success: true });
    }
    const { email, password } = JSON.parse(body);
    if (this.accounts.get(email) !== password) {
      const refused = { code: "INVALID_EMAIL_OR_PASSWORD", message: "Invalid email or password" };
      return new Response(JSON.stringify(refused), { status: 401 });
    }
    cookies.set("signed-in", email);
    return json(user(email));
  }

  #policy(): Response {
    return json({
      anonymous: this.anonymous,
      attachments: true,
      max_message_bytes: this.longest,
      demo_users: ["alice", "bob"],
      now: new Date(this.time.now).toISOString(),
    });
  }

  #owner(headers: Headers, cookies: Map<string, string>): string | null {
    const token = headers.get("Authorization");
    if (token !== null) return JSON.parse(atob(token.split(".")[1] ?? "")).sub as string;
    if (this.anonymous === "deny") return null;
    const session = cookies.get("session") ?? `session-${++this.#ids}`;
    cookies.set("session", session);
    return session;
  }

  #chatkit(
    request: {
      type: string;
      params: Record<string, string> & { input: { content: { text: string }[] } };
      metadata?: { only_last?: boolean };
    },
    body: string,
    key: string | null,
    owner: string,
    fault: Fault | null,
    signal: AbortSignal | null,
  ): Response {
    const { type, params } = request;
    if (type === "items.list") return this.#items(params as never, owner);
    const text = params.input?.content[0]?.text ?? "";
    if (type === "threads.create" || type === "threads.add_user_message") {
      if (text.length > this.longest) return refusal(413, "too_large", "The message is too long.");
      const id = `${owner}/${key ?? ++this.#ids}`;
      const known = this.#keyed.get(id);
      if (known !== undefined) {
        if (known.body !== body)
          return refusal(422, "idempotency_key_reused", "Another request had this key.");
        return this.#replay(known, type, fault);
      }
      const thread =
        type === "threads.create"
          ? this.#begin(`thr_${++this.#ids}`, owner, text)
          : this.#thread(params.thread_id ?? "", owner);
      if (thread === null) return refusal(404, "not_found", "There is no such conversation.");
      if (thread.status.type !== "active") return refusal(409, "conflict", "This conversation is closed.");
      const message = this.#add(thread, "user_message", text);
      this.#keyed.set(id, { body, thread, message });
      return this.#write(thread, message, type, fault, signal);
    }
    const thread = this.#thread(params.thread_id ?? "", owner);
    if (thread === null) return refusal(404, "not_found", "There is no such conversation.");
    switch (type) {
      case "threads.retry_after_item": {
        const id = `${owner}/${key ?? ++this.#ids}`;
        const known = this.#keyed.get(id);
        if (known !== undefined) return this.#live(thread.id, signal) ?? this.#replay(known, type, fault);
        const last = thread.items.filter((item) => item.type === "user_message").at(-1);
        if (request.metadata?.only_last && last?.id !== params.item_id)
          return refusal(409, "conflict", "More was said after this message.");
        this.#keyed.set(id, {
          body,
          thread,
          message: thread.items.find((item) => item.id === params.item_id) as Item,
        });
        const at = thread.items.findIndex(({ id }) => id === params.item_id);
        thread.items.splice(at + 1);
        return this.#write(thread, thread.items[at] as Item, type, fault, signal);
      }
      case "threads.update":
        thread.title = params.title ?? null;
        this.#tell(owner, "thread.updated", thread.id);
        return json(wireThread(thread));
      case "threads.delete":
        this.threads.splice(this.threads.indexOf(thread), 1);
        this.#tell(owner, "thread.deleted", thread.id);
        return json({});
      default:
        for (const id of (params as unknown as { item_ids: string[] }).item_ids) {
          this.#opinions.set(id, params.kind ?? "");
        }
        return json({});
    }
  }

  /** Streams an answer as it is written; what is written is stored whether anybody reads or not. */
  #write(
    thread: Thread,
    message: Item,
    type: string,
    fault: Fault | null,
    signal: AbortSignal | null,
  ): Response {
    const words = this.answer(message.content[0]?.text ?? "");
    const { hold } = this;
    const answer = this.#item(thread, "assistant_message", words.join(""));
    const store = () => {
      thread.items.push(answer);
      this.#touch(thread, answer.id);
    };
    if (hold === null) store();
    const begun = [
      ...(type === "threads.retry_after_item" ? [] : this.#begun(thread, message, type)),
      data({ type: "thread.item.added", item: { ...answer, content: [] } }),
      ...words.slice(0, 1).map((word) => delta(answer.id, word)),
    ];
    const rest = [
      ...words.slice(1).map((word) => delta(answer.id, word)),
      data({ type: "thread.item.done", item: answer }),
      ": end\n\n",
    ];
    if (hold === null) return streamOf([...begun, ...rest].join(""), fault);
    const ended = new Promise<string>((resolve) => {
      const end = (text: string) => {
        if (!this.#running.delete(thread.id)) return;
        answer.content = [{ type: "output_text", text, annotations: [] }];
        store();
        resolve([data({ type: "thread.item.done", item: answer }), ": end\n\n"].join(""));
      };
      this.#running.set(thread.id, {
        begun: begun.join(""),
        ended: () => ended,
        stop: () => end(words[0] ?? ""),
      });
      void hold.then(() => end(words.join("")));
    });
    return this.#live(thread.id, signal) as Response;
  }

  /** The stream of an answer that is held, from its start; null when there is none. */
  #live(threadId: string, signal: AbortSignal | null): Response | null {
    const running = this.#running.get(threadId);
    if (running === undefined) return null;
    let left = false;
    const body = new ReadableStream<Uint8Array>({
      cancel: () => {
        left = true;
      },
      start: (controller) => {
        signal?.addEventListener("abort", () => {
          if (!left) controller.error(new DOMException("aborted", "AbortError"));
          left = true;
        });
        controller.enqueue(bytes(running.begun));
        void running.ended().then((rest) => {
          if (left) return;
          left = true;
          controller.enqueue(bytes(rest));
          controller.close();
        });
      },
    });
    return new Response(body, { headers: { "Content-Type": "text/event-stream" } });
  }

  #replay({ thread, message }: Keyed, type: string, fault: Fault | null): Response {
    const at = thread.items.indexOf(message);
    const answer = at >= 0 ? thread.items[at + 1] : undefined;
    if (answer !== undefined && this.diesWhileAnswering) answer.id = `msg_${++this.#ids}`;
    const events = [
      ...(at >= 0 ? this.#begun(thread, message, type) : this.#begun(thread, message, type).slice(0, 1)),
      ...(answer ? [data({ type: "thread.item.done", item: answer })] : []),
      ": end\n\n",
    ];
    return streamOf(events.join(""), fault);
  }

  #begun(thread: Thread, message: Item, type: string): string[] {
    const created = type === "threads.create" ? "thread.created" : "thread.updated";
    return [
      data({ type: created, thread: { ...wireThread(thread), items: { data: [], has_more: false } } }),
      data({ type: "thread.item.done", item: message }),
    ];
  }

  #items(
    { thread_id, limit, after }: { thread_id: string; limit: number; after: string | null },
    owner: string,
  ): Response {
    const thread = this.#thread(thread_id, owner);
    if (thread === null) return refusal(404, "not_found", "There is no such conversation.");
    return json(pageOf([...thread.items].reverse(), limit, after));
  }

  #list(query: URLSearchParams, owner: string): Response {
    const rows = this.threads
      .filter((thread) => thread.owner === owner)
      .sort((a, b) => b.active - a.active)
      .map((thread) => ({
        ...wireThread(thread),
        created_at: new Date(thread.created).toISOString(),
        last_message_at: new Date(thread.active).toISOString(),
        preview: thread.items.at(-1)?.content[0]?.text ?? null,
      }));
    return json(pageOf(rows, Number(query.get("limit")), query.get("after")));
  }

  #ofThread(path: string, method: string, owner: string, signal: AbortSignal | null): Response {
    const [, , , id = "", what = "", itemId = ""] = path.split("/");
    const thread = this.#thread(decodeURIComponent(id), owner);
    if (thread === null) return refusal(404, "not_found", "There is no such conversation.");
    if (what === "feedback") return json({ data: Object.fromEntries(this.#opinions) });
    if (what === "stream") return this.#live(thread.id, signal) ?? new Response(null, { status: 204 });
    if (what === "stop") {
      const running = this.#running.get(thread.id);
      running?.stop();
      return json({ stopped: running ? 1 : 0 });
    }
    if (what === "items" && method === "DELETE") {
      this.drop(thread.id, decodeURIComponent(itemId));
      return new Response(null, { status: 204 });
    }
    return refusal(404, "not_found", "There is nothing at this address.");
  }

  #events(owner: string, signal: AbortSignal | null): Response {
    const listeners = this.#listeners.get(owner) ?? new Set();
    this.#listeners.set(owner, listeners);
    let send = (_: string) => {};
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        send = (text) => controller.enqueue(bytes(text));
        send(": memory\n\n");
        listeners.add(send);
        signal?.addEventListener("abort", () => {
          if (listeners.delete(send)) controller.error(new DOMException("aborted", "AbortError"));
        });
      },
      cancel: () => void listeners.delete(send),
    });
    return new Response(body);
  }

  #claim(owner: string, cookies: Map<string, string>): Response {
    const visitor = cookies.get("session");
    cookies.delete("session");
    for (const thread of this.threads) if (thread.owner === visitor) thread.owner = owner;
    for (const [id, keyed] of [...this.#keyed]) {
      if (id.startsWith(`${visitor}/`)) this.#keyed.set(`${owner}/${id.slice(`${visitor}/`.length)}`, keyed);
    }
    return json({ threads: 1, items: 1, attachments: 0 });
  }

  #thread(id: string, owner: string): Thread | null {
    return this.threads.find((thread) => thread.id === id && thread.owner === owner) ?? null;
  }

  #begin(id: string, owner: string, title: string): Thread {
    const { now } = this.time;
    const thread = { id, owner, title, status: { type: "active" }, items: [], created: now, active: now };
    this.threads.push(thread);
    this.#tell(owner, "thread.created", id);
    return thread;
  }

  #add(thread: Thread, type: string, text: string): Item {
    const item = this.#item(thread, type, text);
    thread.items.push(item);
    this.#touch(thread, item.id);
    return item;
  }

  #item(thread: Thread, type: string, text: string): Item {
    const part = type === "user_message" ? "input_text" : "output_text";
    const created_at = new Date(this.time.now).toISOString().replace("Z", "000");
    const content = [{ type: part, text, annotations: [] }];
    return { id: `msg_${++this.#ids}`, thread_id: thread.id, type, created_at, content };
  }

  #touch(thread: Thread, itemId: string): void {
    thread.active = Math.max(thread.active + 1, this.time.now);
    this.#tell(thread.owner, "item.added", thread.id, itemId);
  }

  #tell(owner: string, kind: string, threadId: string, itemId?: string): void {
    const text = `event: ${kind}\nid: e-${++this.#ids}\ndata: ${JSON.stringify({ thread_id: threadId, item_id: itemId })}\n\n`;
    for (const listener of this.#listeners.get(owner) ?? []) listener(text);
  }
}

function wireThread({ id, title, status, created }: Thread) {
  return { id, title, status, created_at: new Date(created).toISOString() };
}

function pageOf<Row extends { id: string }>(rows: readonly Row[], limit: number, after: string | null) {
  const from = after === null ? 0 : rows.findIndex(({ id }) => id === after) + 1;
  const page = rows.slice(from, from + limit);
  const has_more = from + limit < rows.length;
  return { data: page, has_more, after: has_more ? page.at(-1)?.id : null };
}

function delta(id: string, text: string): string {
  const update = { type: "assistant_message.content_part.text_delta", content_index: 0, delta: text };
  return data({ type: "thread.item.updated", item_id: id, update });
}

export function data(event: object): string {
  return `data: ${JSON.stringify(event)}\n\n`;
}

export function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function tokenOf(subject: string): string {
  return `a.${btoa(JSON.stringify({ sub: subject, iat: 0, exp: 900 }))}.c`;
}

function streamOf(text: string, fault: Fault | null): Response {
  const whole = bytes(text);
  const cut = fault !== null && typeof fault === "object" && "cutAfter" in fault ? fault.cutAfter : null;
  let read = false;
  const body = new ReadableStream<Uint8Array>({
    // What arrived is read before the failure is: an error takes away what is still in the queue.
    pull: (controller) => {
      if (!read) controller.enqueue(cut === null ? whole : whole.slice(0, Math.max(1, cut % whole.length)));
      else if (cut === null) controller.close();
      else controller.error(new TypeError("network error"));
      read = true;
    },
  });
  return new Response(body, { headers: { "Content-Type": "text/event-stream" } });
}

function json(value: unknown): Response {
  return new Response(JSON.stringify(value), { headers: { "Content-Type": "application/json" } });
}

function refusal(status: number, code: string, message: string, retryAfter?: number): Response {
  const headers = retryAfter === undefined ? {} : { "Retry-After": String(retryAfter) };
  return new Response(JSON.stringify({ error: { code, message } }), { status, headers });
}
