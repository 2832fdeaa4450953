import { Answers } from "./answers";
import { type Change, Changes } from "./connection/changes";
import type { ServerConnection } from "./connection/connection";
import type { Environment } from "./environment";
import type { Policy } from "./identity/policy";
import { Listing } from "./listing";
import { Lead } from "./outbox/lead";
import { mayHaveArrived, type Unsent } from "./outbox/message";
import { type Confirmation, Outbox } from "./outbox/outbox";
import { Sender } from "./outbox/sender";
import type { MemoryShelf, Shelf } from "./outbox/shelf";
import { Pauses } from "./pause";
import type { Api, Opinion } from "./protocol/api";
import { Failure } from "./protocol/failure";
import { Reader } from "./reader";
import type { Conversation } from "./state/conversation";
import { Conversations } from "./state/conversations";
import type { ItemNode } from "./state/nodes";
import { type TabMessage, Tabs } from "./tabs";
import type { TurnTools } from "./turn";

export interface SessionParts {
  readonly env: Environment;
  readonly name: string;
  readonly owner: string;
  readonly api: Api;
  readonly connection: ServerConnection;
  readonly policy: () => Policy;
  readonly shelf: Shelf | null;
  readonly memory: MemoryShelf;
  readonly changed: () => void;
}

/** All that one person has before them in this tab. Another person gets another one. */
export class Session {
  readonly outbox: Outbox;
  readonly listing: Listing;
  readonly conversations = new Conversations();
  readonly answers: Answers;
  open: Conversation;
  /** Whether the server was found once, and what waits is being sent. */
  served = false;
  readonly #sender: Sender;
  readonly #reader: Reader;
  readonly #changes: Changes;
  readonly #tabs: Tabs<TabMessage>;
  readonly #lead: Lead;
  readonly #pauses: Pauses;
  readonly #end = new AbortController();
  /** Whether the person has gone somewhere by now: nothing is opened over it. */
  #touched = false;

  constructor(private readonly parts: SessionParts) {
    const { env, api, connection, name, owner, changed, policy } = parts;
    const { conversations } = this;
    this.#pauses = new Pauses(env);
    const tools: TurnTools = { env, api, connection, pauses: this.#pauses, changed };
    this.open = conversations.begin(env.newId());
    this.#tabs = new Tabs(env, `${name}:${owner}`, (message) => this.#hear(message));
    this.outbox = new Outbox(owner, parts.shelf, parts.memory, changed, () =>
      this.#tabs.tell({ kind: "outbox" }),
    );
    this.listing = new Listing({ env, api, outbox: this.outbox, conversations, policy, changed });
    const ended = (conversation: Conversation) => this.#ended(conversation);
    this.#reader = new Reader(tools, (conversation) => this.#gone(conversation), ended);
    this.#sender = new Sender({
      tools,
      outbox: this.outbox,
      conversationOf: (thread) => this.conversation(thread),
      confirmed: (confirmation) => this.#confirmed(confirmation),
      ended,
    });
    this.answers = new Answers(tools, this.#sender, this.#reader, ended);
    const happened = (change: Change) => {
      this.#tabs.tell({ kind: "change", change });
      this.#happened(change);
    };
    this.#changes = new Changes(env, api, connection, this.#pauses, happened, () => this.#refresh());
    this.#lead = new Lead(env, `${name}:${owner}`);
  }

  get closed(): boolean {
    return this.#end.signal.aborted;
  }

  /** Shows what waits; needs no network. */
  async begin(): Promise<void> {
    await this.outbox.load();
    const last = this.outbox.messages.at(-1);
    if (last !== undefined && !this.#touched) this.open = this.conversation(last.thread);
    this.parts.changed();
  }

  /** Asks the server for what there is, sends what waits, and opens the most recent conversation. May be called again. */
  async goOn(): Promise<void> {
    const first = !this.served;
    // A visitor who is new is somebody only from the first answer on: nothing else is sent before.
    await this.listing.load();
    if (!this.listing.threads.loaded || this.closed) return;
    if (first) this.#serve();
    // A tab in the background may be asleep until its next try.
    else this.#tabs.tell({ kind: "retry" });
    const recent = this.listing.mostRecent;
    if (first && !this.#touched && recent !== null) this.open = this.conversation(recent);
    await this.#reader.load(this.open);
  }

  close(): void {
    this.#end.abort();
    this.#sender.close();
    this.listing.close();
    for (const conversation of this.conversations) conversation.leave();
    this.#lead.leave();
    this.#tabs.close();
  }

  /** The conversation that is called so, here or on the server. */
  conversation(thread: string): Conversation {
    const conversation = this.conversations.of(thread);
    const row = this.listing.threads.row(thread);
    if (row !== null) conversation.know(row);
    return conversation;
  }

  /** What waits in a conversation, in its order. */
  waitingIn(conversation: Conversation): Unsent[] {
    return this.outbox.messages.filter(({ thread }) => conversation.is(thread));
  }

  newThread(): void {
    this.#touched = true;
    this.open = this.conversations.begin(this.parts.env.newId());
  }

  openThread(key: string): Promise<void> {
    this.#touched = true;
    this.open = this.conversation(key);
    return this.#reader.load(this.open);
  }

  loadOlder(): Promise<void> {
    return this.#reader.older(this.open);
  }

  async send(text: string): Promise<void> {
    this.#touched = true;
    const { env } = this.parts;
    const thread = this.open.id ?? this.open.key;
    const fresh = { body: null, state: "waiting", nextTryAt: null, problem: null } as const;
    await this.outbox.add({ key: env.newId(), thread, text, created: env.now(), ...fresh });
    this.#sender.wake();
  }

  retry(): void {
    this.#tabs.tell({ kind: "retry" });
    this.#retryHere();
  }

  async takeBack(key: string): Promise<string> {
    const message = this.outbox.messages.find((other) => other.key === key);
    if (message === undefined) throw new Failure("This message is sent already.", "refused");
    if (!(await this.outbox.withdraw(message))) {
      throw new Failure(
        "This message may have reached the server already. It is sent again by itself.",
        "refused",
      );
    }
    return message.text;
  }

  async rename(key: string, title: string): Promise<void> {
    const { id } = this.conversation(key);
    if (id === null) throw new Failure("This conversation is not on the server yet.", "refused");
    await this.parts.api.rename(id, title);
    this.listing.threads.change(id, { title });
    this.conversation(id).title = title;
  }

  async deleteThread(key: string): Promise<void> {
    const conversation = this.conversation(key);
    const waiting = this.waitingIn(conversation);
    if (conversation.id === null && waiting.some(mayHaveArrived)) {
      throw new Failure(
        "This conversation is on its way to the server. Delete it when it has arrived.",
        "refused",
      );
    }
    if (conversation.id !== null) await this.parts.api.deleteThread(conversation.id);
    for (const message of waiting) await this.outbox.remove(message);
    this.#drop(conversation);
  }

  async deleteEntry(key: string): Promise<void> {
    const { open } = this;
    const { node, id } = this.#item(key);
    await this.parts.api.deleteItem(id, node.item.id);
    open.transcript.remove(node.item.id);
    this.listing.loadSoon();
  }

  async rate(key: string, opinion: Opinion): Promise<void> {
    const { open } = this;
    const { node, id } = this.#item(key);
    await this.parts.api.rate(id, node.item.id, opinion);
    open.opinions = { ...open.opinions, [node.item.id]: opinion };
  }

  /** An item of the conversation that is open, by the key it is shown under. */
  #item(key: string): { node: ItemNode; id: string } {
    const { transcript, id } = this.open;
    const node = transcript.byKey(key);
    if (node === null || id === null) throw new Failure("This message is not there any more.", "gone");
    return { node, id };
  }

  #serve(): void {
    this.served = true;
    this.#sender.begin();
    const listen = () => void this.#changes.run(this.#end.signal);
    // One tab hears for all: browsers open few connections to a server. Where tabs cannot talk, each hears itself.
    const { talk } = this.#tabs;
    if (!talk) listen();
    void this.#lead.led.then(() => {
      if (this.closed) return;
      this.#sender.lead();
      if (talk) listen();
    });
  }

  /** Asks for everything that is looked at anew. */
  #refresh(): void {
    this.listing.loadSoon();
    void this.#reader.load(this.open);
  }

  #retryHere(): void {
    void this.parts.connection.probe();
    this.#pauses.wake();
    this.#sender.wake();
  }

  #confirmed(confirmation: Confirmation): void {
    this.#tabs.tell({ kind: "confirmed", confirmation });
    this.listing.moveUp(confirmation.threadId, confirmation.text);
  }

  /** An answer that was asked for or followed here is over. */
  #ended(conversation: Conversation): void {
    if (this.closed) return;
    conversation.progress = null;
    if (conversation.stale || conversation === this.open) void this.#reader.newest(conversation);
    this.listing.loadSoon();
    this.parts.changed();
  }

  #hear(message: TabMessage): void {
    switch (message.kind) {
      case "outbox":
        void this.outbox.load().then(() => this.#sender.wake());
        break;
      case "retry":
        this.#retryHere();
        break;
      case "change":
        this.#changes.heard(message.change);
        this.#happened(message.change);
        break;
      case "confirmed":
        this.#hearConfirmed(message.confirmation);
    }
  }

  #hearConfirmed({ key, thread, threadId, itemId, text }: Confirmation): void {
    this.listing.moveUp(threadId, text);
    const conversation = this.conversations.find(thread) ?? this.conversations.find(threadId);
    if (conversation === null) return;
    conversation.id = threadId;
    if (itemId !== null) conversation.transcript.rename(itemId, key);
    if (conversation === this.open) void this.#reader.load(conversation);
  }

  #happened({ kind, threadId, itemId }: Change): void {
    if (kind === "resync" || threadId === null) {
      this.#refresh();
      return;
    }
    const conversation = this.conversations.find(threadId);
    if (kind === "thread.deleted") {
      if (conversation === null) this.listing.threads.remove(threadId);
      else this.#gone(conversation);
      this.parts.changed();
      return;
    }
    this.listing.loadSoon();
    if (conversation !== null && itemId !== null) this.#itemHappened(kind, conversation, itemId);
  }

  #itemHappened(kind: string, conversation: Conversation, itemId: string): void {
    const { transcript } = conversation;
    // Said here a moment ago.
    if (kind === "item.added" && transcript.item(itemId)?.state === "whole") return;
    if (kind === "item.removed") {
      transcript.remove(itemId);
      this.parts.changed();
    } else if (conversation.answers.size > 0) {
      // Most likely what is followed here anyway.
      conversation.stale ||= !transcript.has(itemId);
    } else if (conversation === this.open) void this.#reader.catchUp(conversation);
  }

  /** It is not on the server any more. What waits in it stays in sight: it is refused, and can be taken back. */
  #gone(conversation: Conversation): void {
    if (this.waitingIn(conversation).length === 0) this.#drop(conversation);
    else if (conversation.id !== null) this.listing.threads.remove(conversation.id);
    this.parts.changed();
  }

  #drop(conversation: Conversation): void {
    this.conversations.drop(conversation);
    if (conversation.id !== null) this.listing.threads.remove(conversation.id);
    if (conversation !== this.open) return;
    const next = this.listing.mostRecent;
    this.open = next === null ? this.conversations.begin(this.parts.env.newId()) : this.conversation(next);
    void this.#reader.load(this.open);
  }
}
