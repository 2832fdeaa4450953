import type { Problem } from "../contract";
import { isLocal } from "../outbox/message";
import type { Opinion } from "../protocol/api";
import { fieldsOf, textOf, type WireEvent, type WireThread, wordsOf } from "../protocol/wire";
import { Transcript } from "./transcript";

/** One conversation as this page knows it. */
export class Conversation {
  readonly transcript = new Transcript();
  id: string | null;
  title: string | null = null;
  closed: string | null = null;
  opinions: Readonly<Record<string, Opinion>> = {};
  loaded = false;
  loading = false;
  loadingOlder = false;
  problem: Problem | null = null;
  progress: string | null = null;
  /** Requests of this page for answers, by what leaves them; the server goes on all the same. */
  readonly requests = new Set<AbortController>();
  /** Those of them whose message the server has. */
  readonly answers = new Set<AbortController>();
  /** Something happened elsewhere while an answer was followed here. */
  stale = false;

  /** `key` is the server's id, or a name of its own until that is known. */
  constructor(readonly key: string) {
    this.id = isLocal(key) ? null : key;
    this.loaded = this.id === null;
  }

  /** Tells whether this is the conversation that is called so, here or on the server. */
  is(thread: string): boolean {
    return thread === this.key || thread === this.id;
  }

  /** Leaves what is asked for or followed in it from here; the server goes on all the same. */
  leave(): void {
    for (const request of this.requests) request.abort();
  }

  apply(event: WireEvent, now: number): void {
    this.transcript.apply(event);
    if (event.type.startsWith("thread.")) this.progress = null;
    switch (event.type) {
      case "thread.created":
      case "thread.updated":
        this.know(fieldsOf(event.thread) as WireThread);
        return;
      case "progress_update":
        this.progress = wordsOf(event.text);
        return;
      case "notice":
        this.transcript.say({ message: noticeOf(event), canRetry: false }, now);
        return;
      case "error":
        this.transcript.say({ message: errorOf(event), canRetry: event.allow_retry === true }, now);
    }
  }

  know(thread: WireThread): void {
    if (typeof thread.id === "string") this.id = thread.id;
    if ("title" in thread) this.title = wordsOf(thread.title);
    if ("status" in thread) this.closed = closedOf(fieldsOf(thread.status));
  }
}

function noticeOf(event: WireEvent): string {
  return [event.title, event.message].map(textOf).filter(Boolean).join(": ");
}

export function errorOf(event: WireEvent): string {
  return wordsOf(event.message) ?? "Something went wrong while answering. Please try again.";
}

function closedOf(status: Readonly<Record<string, unknown>>): string | null {
  if (status.type !== "locked" && status.type !== "closed") return null;
  return wordsOf(status.reason) ?? `This conversation is ${status.type} and takes no new messages.`;
}
