import { localThread } from "../outbox/message";
import { Conversation } from "./conversation";

/** The conversations that this page knows something of. */
export class Conversations {
  readonly #all = new Set<Conversation>();

  [Symbol.iterator](): Iterator<Conversation> {
    return this.#all.values();
  }

  /** By the server's id, or the name that it has here. */
  find(thread: string): Conversation | null {
    for (const conversation of this.#all) if (conversation.is(thread)) return conversation;
    return null;
  }

  of(thread: string): Conversation {
    return this.find(thread) ?? this.#add(new Conversation(thread));
  }

  begin(id: string): Conversation {
    return this.#add(new Conversation(localThread(id)));
  }

  /** Forgets it, and leaves what is followed in it. */
  drop(conversation: Conversation): void {
    this.#all.delete(conversation);
    conversation.leave();
  }

  #add(conversation: Conversation): Conversation {
    this.#all.add(conversation);
    return conversation;
  }
}
