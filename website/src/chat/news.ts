import type { Change } from "./connection/changes";
import type { Problem } from "./contract";
import type { Desk } from "./desk";
import type { Environment } from "./environment";
import type { Listing } from "./listing";
import type { Confirmation } from "./outbox/outbox";
import type { Reader } from "./reader";
import type { Conversation } from "./state/conversation";
import type { Conversations } from "./state/conversations";

export interface NewsParts {
  readonly env: Environment;
  readonly desk: Desk;
  readonly conversations: Conversations;
  readonly listing: Listing;
  readonly reader: Reader;
  readonly changed: () => void;
}

/** Brings what is before a person up to what happened elsewhere: in their other tabs, and on their other devices. */
export class News {
  constructor(private readonly parts: NewsParts) {}

  /** Another tab sent a message. */
  confirmed({ key, thread, threadId, itemId, text }: Confirmation): void {
    const { desk, conversations, listing, reader } = this.parts;
    listing.moveUp(threadId, text);
    const conversation = conversations.find(thread) ?? conversations.find(threadId);
    if (conversation === null) return;
    conversation.id = threadId;
    if (itemId !== null) conversation.transcript.rename(itemId, key);
    if (conversation === desk.open) void reader.load(conversation);
  }

  /** Another tab has a message answered anew. */
  answering(thread: string): void {
    const { desk, reader } = this.parts;
    if (desk.open.is(thread)) void reader.load(desk.open);
  }

  /** A message is not answered anew. */
  unfulfilled(thread: string, problem: Problem): void {
    this.parts.conversations.find(thread)?.transcript.say(problem, this.parts.env.now());
    this.parts.changed();
  }

  /** The server told of a change. */
  happened({ kind, threadId, itemId }: Change): void {
    const { desk, conversations, listing, changed } = this.parts;
    if (kind === "resync" || threadId === null) {
      this.missed();
      return;
    }
    const conversation = conversations.find(threadId);
    if (kind === "thread.deleted") {
      if (conversation === null) listing.threads.remove(threadId);
      else desk.gone(conversation);
      changed();
      return;
    }
    listing.loadSoon();
    if (conversation !== null && itemId !== null) this.#itemHappened(kind, conversation, itemId);
  }

  /** From now on the server tells of changes. What happened since the first look is asked for, once. */
  began(): void {
    this.parts.listing.loadSoon();
    void this.parts.reader.catchUp(this.parts.desk.open);
  }

  /** Nobody knows what happened: everything that is looked at is asked for anew. */
  missed(): void {
    this.parts.listing.loadSoon();
    void this.parts.reader.load(this.parts.desk.open);
  }

  #itemHappened(kind: string, conversation: Conversation, itemId: string): void {
    const { desk, reader, changed } = this.parts;
    const { transcript } = conversation;
    // Said here a moment ago.
    if (kind === "item.added" && transcript.item(itemId)?.state === "whole") return;
    if (kind === "item.removed") {
      transcript.remove(itemId);
      changed();
    } else if (conversation.answers.size > 0) {
      // Most likely what is followed here anyway.
      conversation.stale ||= !transcript.has(itemId);
    } else if (conversation === desk.open) void reader.catchUp(conversation);
  }
}
