import type { Environment } from "./environment";
import type { Listing } from "./listing";
import type { Unsent } from "./outbox/message";
import type { Outbox } from "./outbox/outbox";
import { Failure } from "./protocol/failure";
import type { Conversation } from "./state/conversation";
import type { Conversations } from "./state/conversations";
import type { ItemNode } from "./state/nodes";

export interface DeskParts {
  readonly env: Environment;
  readonly outbox: Outbox;
  readonly listing: Listing;
  readonly conversations: Conversations;
  readonly changed: () => void;
  /** Called when another conversation is open because the one that was is not there any more. */
  readonly moved: (open: Conversation) => void;
}

/** The conversations that one person has before them in this tab, and which of them is open. */
export class Desk {
  open: Conversation;
  /** Whether the person has gone somewhere by now: nothing is opened over it. */
  touched = false;

  constructor(private readonly parts: DeskParts) {
    this.open = this.#fresh();
  }

  /** The conversation that is called so, here or on the server. */
  conversation(thread: string): Conversation {
    const conversation = this.parts.conversations.of(thread);
    const row = this.parts.listing.threads.row(thread);
    if (row !== null) conversation.know(row);
    return conversation;
  }

  /** What a person typed that waits in a conversation, in its order. */
  waitingIn(conversation: Conversation): Unsent[] {
    return this.parts.outbox.messages.filter(({ thread }) => conversation.is(thread));
  }

  /** An item of the conversation that is open, by the key it is shown under, and the conversation's id. */
  item(key: string): { node: ItemNode; id: string } {
    const { transcript, id } = this.open;
    const node = transcript.byKey(key);
    if (node === null || id === null) throw new Failure("This message is not there any more.", "gone");
    return { node, id };
  }

  /** Opens what a person asks for; a new one without a name. */
  go(key: string | null): Conversation {
    this.touched = true;
    this.open = key === null ? this.#fresh() : this.conversation(key);
    return this.open;
  }

  /** Opens one by itself, unless the person has gone somewhere. */
  suggest(thread: string | null): void {
    if (thread !== null && !this.touched) this.open = this.conversation(thread);
  }

  /** It is not on the server any more. What waits in it stays in sight: it is refused, and can be taken back. */
  gone(conversation: Conversation): void {
    if (this.waitingIn(conversation).length === 0) this.drop(conversation);
    else if (conversation.id !== null) this.parts.listing.threads.remove(conversation.id);
    this.parts.changed();
  }

  drop(conversation: Conversation): void {
    const { conversations, listing, moved } = this.parts;
    conversations.drop(conversation);
    if (conversation.id !== null) listing.threads.remove(conversation.id);
    if (conversation !== this.open) return;
    const next = listing.mostRecent;
    this.open = next === null ? this.#fresh() : this.conversation(next);
    moved(this.open);
  }

  #fresh(): Conversation {
    return this.parts.conversations.begin(this.parts.env.newId());
  }
}
