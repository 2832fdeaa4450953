import { Answers } from "./answers";
import { type Change, Changes } from "./connection/changes";
import type { ServerConnection } from "./connection/connection";
import { Desk } from "./desk";
import { Edits } from "./edits";
import type { Environment } from "./environment";
import type { Policy } from "./identity/policy";
import { Listing } from "./listing";
import { News } from "./news";
import { Lead } from "./outbox/lead";
import { type Confirmation, Outbox } from "./outbox/outbox";
import { Sender } from "./outbox/sender";
import type { MemoryShelf, Shelf } from "./outbox/shelf";
import { Pauses } from "./pause";
import type { Api } from "./protocol/api";
import { Failure } from "./protocol/failure";
import { Reader } from "./reader";
import type { Conversation } from "./state/conversation";
import { Conversations } from "./state/conversations";
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
  readonly conversations = new Conversations();
  readonly outbox: Outbox;
  readonly listing: Listing;
  readonly desk: Desk;
  readonly answers: Answers;
  readonly edits: Edits;
  /** Whether the server was found once, and what waits is being sent. */
  served = false;
  readonly #sender: Sender;
  readonly #reader: Reader;
  readonly #news: News;
  readonly #changes: Changes;
  readonly #tabs: Tabs<TabMessage>;
  readonly #lead: Lead;
  readonly #pauses: Pauses;
  readonly #end = new AbortController();

  constructor(private readonly parts: SessionParts) {
    const { env, api, connection, name, owner, changed, policy } = parts;
    const { conversations } = this;
    this.#pauses = new Pauses(env);
    const tools: TurnTools = { env, api, connection, pauses: this.#pauses, changed };
    this.#tabs = new Tabs(env, `${name}:${owner}`, (message) => this.#hear(message));
    const outbox = new Outbox(owner, parts.shelf, parts.memory, changed, () =>
      this.#tabs.tell({ kind: "outbox" }),
    );
    const listing = new Listing({ env, api, outbox, conversations, policy, changed });
    const moved = (open: Conversation) => void this.#reader.load(open);
    const desk = new Desk({ env, outbox, listing, conversations, changed, moved });
    const ended = (conversation: Conversation) => this.#ended(conversation);
    this.#reader = new Reader(tools, (conversation) => desk.gone(conversation), ended);
    this.#sender = new Sender({
      tools,
      outbox,
      conversationOf: (thread) => desk.conversation(thread),
      confirmed: (confirmation) => this.#confirmed(confirmation),
      answering: (thread) => this.#tabs.tell({ kind: "answering", thread }),
      unfulfilled: (thread, problem) => {
        this.#tabs.tell({ kind: "unfulfilled", thread, problem });
        this.#news.unfulfilled(thread, problem);
      },
      ended,
    });
    this.answers = new Answers(tools, outbox, this.#sender, this.#reader);
    this.edits = new Edits(api, desk, listing, outbox);
    this.#news = new News({ env, desk, conversations, listing, reader: this.#reader, changed });
    const happened = (change: Change) => {
      this.#tabs.tell({ kind: "change", change });
      this.#news.happened(change);
    };
    const began = () => {
      this.#tabs.tell({ kind: "began" });
      this.#news.began();
    };
    const missed = () => {
      this.#tabs.tell({ kind: "missed" });
      this.#news.missed();
    };
    this.#changes = new Changes(env, api, connection, this.#pauses, happened, began, missed);
    this.#lead = new Lead(env, `${name}:${owner}`);
    [this.outbox, this.listing, this.desk] = [outbox, listing, desk];
  }

  get closed(): boolean {
    return this.#end.signal.aborted;
  }

  /** Shows what waits; needs no network. */
  async begin(): Promise<void> {
    await this.outbox.load();
    this.desk.suggest(this.outbox.messages.at(-1)?.thread ?? null);
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
    if (first) this.desk.suggest(this.listing.mostRecent);
    await this.#reader.load(this.desk.open);
  }

  close(): void {
    this.#end.abort();
    this.#sender.close();
    this.listing.close();
    for (const conversation of this.conversations) conversation.leave();
    this.#lead.leave();
    this.#tabs.close();
  }

  openThread(key: string): Promise<void> {
    return this.#reader.load(this.desk.go(key));
  }

  loadOlder(): Promise<void> {
    return this.#reader.older(this.desk.open);
  }

  async send(text: string): Promise<void> {
    const { env } = this.parts;
    const { open } = this.desk;
    this.desk.touched = true;
    const thread = open.id ?? open.key;
    const fresh = { body: null, state: "waiting", nextTryAt: null, problem: null } as const;
    await this.outbox.add({ key: env.newId(), thread, text, created: env.now(), ...fresh });
    this.#sender.wake();
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

  /** Tries everything that waits for its next try now, in all tabs. */
  retry(): void {
    this.#tabs.tell({ kind: "retry" });
    this.#retryHere();
  }

  #retryHere(): void {
    void this.parts.connection.probe();
    this.#pauses.wake();
    this.#sender.wake();
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

  #confirmed(confirmation: Confirmation): void {
    this.#tabs.tell({ kind: "confirmed", confirmation });
    this.listing.moveUp(confirmation.threadId, confirmation.text);
  }

  /** An answer that was asked for or followed here is over. */
  #ended(conversation: Conversation): void {
    if (this.closed) return;
    conversation.progress = null;
    if (conversation.stale || conversation === this.desk.open) void this.#reader.newest(conversation);
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
        this.#news.happened(message.change);
        break;
      case "began":
        this.#news.began();
        break;
      case "missed":
        this.#news.missed();
        break;
      case "confirmed":
        this.#news.confirmed(message.confirmation);
        break;
      case "answering":
        this.#news.answering(message.thread);
        break;
      case "unfulfilled":
        this.#news.unfulfilled(message.thread, message.problem);
    }
  }
}
