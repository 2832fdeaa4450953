import { delayOf } from "./connection/backoff";
import { type Change, Changes } from "./connection/changes";
import type { ServerConnection } from "./connection/connection";
import type { Environment } from "./environment";
import { type Policy, timeOf } from "./identity/policy";
import { Lead } from "./outbox/lead";
import { localThread, mayHaveArrived, type Unsent } from "./outbox/message";
import { type Confirmation, Outbox } from "./outbox/outbox";
import { Sender } from "./outbox/sender";
import type { MemoryShelf, Shelf } from "./outbox/shelf";
import { Pauses } from "./pause";
import { type Api, bodyOfRetry, type Opinion } from "./protocol/api";
import { Failure, problemOf } from "./protocol/failure";
import type { WireSummary } from "./protocol/wire";
import { arrivedRows } from "./state/arrived";
import { Conversation } from "./state/conversation";
import { previewOf, Threads } from "./state/threads";
import { type TabMessage, Tabs } from "./tabs";
import { type Outcome, Turn, type TurnTools } from "./turn";

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

const ROWS = 30;
const MOST_ROWS = 100;
const ITEMS = 40;
const SOON_MS = 60;
const STOP_MS = 1_500;
const MOST_FOLLOWS = 5;
const LONGEST_DELAY_MS = 30_000;

/** All that one person has before them in this tab. Another person gets another one. */
export class Session {
  readonly outbox: Outbox;
  readonly threads = new Threads();
  open: Conversation;
  /** Whether the server was found once, and what waits is being sent. */
  served = false;
  readonly #conversations = new Set<Conversation>();
  readonly #sender: Sender;
  readonly #changes: Changes;
  readonly #tabs: Tabs<TabMessage>;
  readonly #lead: Lead;
  readonly #pauses: Pauses;
  readonly #end = new AbortController();
  readonly #tools: TurnTools;
  #listing: Promise<void> | null = null;
  #listSoon = () => {};
  /** What was done by the person in this page since it was opened: nothing is opened over it. */
  #touched = false;

  constructor(private readonly parts: SessionParts) {
    const { env, api, connection, name, owner, changed } = parts;
    this.#pauses = new Pauses(env);
    this.#tools = { env, api, connection, pauses: this.#pauses, changed };
    this.open = this.#new();
    this.#tabs = new Tabs(env, `${name}:${owner}`, (message) => this.#hear(message));
    this.outbox = new Outbox(owner, parts.shelf, parts.memory, changed, () =>
      this.#tabs.tell({ kind: "outbox" }),
    );
    this.#sender = new Sender({
      tools: this.#tools,
      outbox: this.outbox,
      conversationOf: (thread) => this.conversation(thread),
      confirmed: (confirmation) => this.#confirmed(confirmation),
      ended: (conversation) => this.#ended(conversation),
    });
    this.#changes = new Changes(
      env,
      api,
      connection,
      this.#pauses,
      (change) => {
        this.#tabs.tell({ kind: "change", change });
        this.#happened(change);
      },
      () => this.refresh(),
    );
    this.#lead = new Lead(env, `${name}:${owner}`);
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
    await this.list();
    if (!this.threads.loaded || this.#end.signal.aborted) return;
    if (first) this.#serve();
    // A tab in the background may be asleep until its next try.
    else this.#tabs.tell({ kind: "retry" });
    const recent = this.#mostRecent();
    if (first && !this.#touched && recent !== null) this.open = this.conversation(recent);
    await this.load(this.open);
  }

  close(): void {
    this.#end.abort();
    this.#sender.close();
    this.#listSoon();
    for (const conversation of this.#conversations)
      for (const request of conversation.requests) request.abort();
    this.#lead.leave();
    this.#tabs.close();
  }

  /** The conversation that is called so, here or on the server. */
  conversation(thread: string): Conversation {
    for (const conversation of this.#conversations) if (conversation.is(thread)) return conversation;
    const conversation = new Conversation(thread);
    const row = this.threads.row(thread);
    if (row !== null) conversation.know(row);
    this.#conversations.add(conversation);
    return conversation;
  }

  find(thread: string): Conversation | null {
    for (const conversation of this.#conversations) if (conversation.is(thread)) return conversation;
    return null;
  }

  /** The list without conversations that are shown already, as what was begun here and not confirmed yet. */
  get rows(): readonly WireSummary[] {
    const { rows } = this.threads;
    const isKnown = (row: WireSummary) => this.find(row.id) !== null;
    const arrived = arrivedRows(rows, this.outbox.messages, isKnown, this.parts.policy());
    return arrived.size === 0 ? rows : rows.filter((row) => !arrived.has(row));
  }

  newThread(): void {
    this.#touched = true;
    this.open = this.#new();
    this.parts.changed();
  }

  get closed(): boolean {
    return this.#end.signal.aborted;
  }

  async openThread(key: string): Promise<void> {
    this.#touched = true;
    this.open = this.conversation(key);
    await this.load(this.open);
  }

  async send(text: string): Promise<void> {
    this.#touched = true;
    const { env } = this.parts;
    const conversation = this.open;
    await this.outbox.add({
      key: env.newId(),
      thread: conversation.id ?? conversation.key,
      text,
      created: env.now(),
      body: null,
      state: "waiting",
      nextTryAt: null,
      problem: null,
    });
    this.#sender.wake();
  }

  retry(): void {
    this.#tabs.tell({ kind: "retry" });
    this.#retryHere();
  }

  async takeBack(key: string): Promise<string> {
    const message = this.outbox.messages.find((other) => other.key === key);
    if (message === undefined) throw new Failure("This message is sent already.", "refused");
    if (mayHaveArrived(message)) {
      throw new Failure(
        "This message may have reached the server already. It is sent again by itself.",
        "refused",
      );
    }
    await this.outbox.remove(message);
    return message.text;
  }

  async stop(): Promise<void> {
    const { open: conversation } = this;
    if (conversation.id === null) return;
    const { transcript } = conversation;
    const writing = [...transcript.nodes].filter((node) => node.kind === "item" && node.state === "writing");
    await this.parts.api.stop(conversation.id);
    for (const node of writing) transcript.stopped(node.key);
    // The stream ends by itself when the server has stopped; one that does not is left.
    await this.#pauses.wait(conversation.answers.size > 0 ? STOP_MS : 0, this.#whenIdle(conversation));
    for (const answer of conversation.answers) answer.abort();
    await this.load(conversation);
  }

  async join(key: string): Promise<void> {
    const { open: conversation } = this;
    if (conversation.transcript.byKey(key) === null) return;
    await this.#follow(conversation);
    await this.#loadNewest(conversation, true);
  }

  async regenerate(): Promise<void> {
    const { open: conversation } = this;
    const message = conversation.transcript.lastOfType("user_message");
    if (conversation.id === null || message === null)
      throw new Failure("There is nothing to answer here.", "refused");
    const body = bodyOfRetry(conversation.id, message.item.id);
    const outcome =
      conversation.answers.size > 0
        ? null
        : await this.#sender.alone(conversation, () => this.#answerAnew(conversation, message.item.id, body));
    if (outcome === null) throw new Failure("An answer is being written already.", "refused");
    if (outcome.kind === "refused") throw new Failure(outcome.problem.message, "refused");
  }

  /** The request is sent until it is answered, as long as the page lives; nothing that was typed hangs on it. */
  async #answerAnew(conversation: Conversation, messageId: string, body: string): Promise<Outcome> {
    const leave = new AbortController();
    const turn = new Turn(this.#tools, conversation, {
      body,
      key: this.parts.env.newId(),
      // The old answer stays in sight until the new one comes.
      begins: () => conversation.transcript.removeBehind(messageId),
      taken: () => {},
      trying: async () => {},
      waiting: async () => {},
    });
    for (const request of conversation.requests) request.abort();
    conversation.requests.add(leave);
    conversation.answers.add(leave);
    conversation.transcript.unsay();
    this.parts.changed();
    try {
      return await turn.run(leave.signal);
    } finally {
      conversation.requests.delete(leave);
      conversation.answers.delete(leave);
      conversation.transcript.cut();
      this.#ended(conversation);
    }
  }

  async rename(key: string, title: string): Promise<void> {
    const id = this.#idOf(key);
    await this.parts.api.rename(id, title);
    this.threads.change(id, { title });
    this.conversation(id).title = title;
    this.parts.changed();
  }

  async deleteThread(key: string): Promise<void> {
    const conversation = this.conversation(key);
    const waiting = this.outbox.messages.filter(({ thread }) => conversation.is(thread));
    if (conversation.id === null && waiting.some(mayHaveArrived)) {
      throw new Failure(
        "This conversation is on its way to the server. Delete it when it has arrived.",
        "refused",
      );
    }
    if (conversation.id !== null) await this.parts.api.deleteThread(conversation.id).catch(unlessGone);
    for (const message of waiting) await this.outbox.remove(message);
    this.#drop(conversation);
  }

  async deleteEntry(key: string): Promise<void> {
    const { open: conversation } = this;
    const node = conversation.transcript.byKey(key);
    if (node === null || conversation.id === null)
      throw new Failure("This message is not there any more.", "gone");
    await this.parts.api.deleteItem(conversation.id, node.item.id);
    conversation.transcript.remove(node.item.id);
    this.#list();
    this.parts.changed();
  }

  async rate(key: string, opinion: Opinion): Promise<void> {
    const { open: conversation } = this;
    const node = conversation.transcript.byKey(key);
    if (node === null || conversation.id === null)
      throw new Failure("This message is not there any more.", "gone");
    await this.parts.api.rate(conversation.id, node.item.id, opinion);
    conversation.opinions = { ...conversation.opinions, [node.item.id]: opinion };
    this.parts.changed();
  }

  async loadMoreThreads(): Promise<void> {
    const { threads } = this;
    if (!threads.hasMore || threads.loading) return;
    await this.#listing;
    await this.#listed(async () => threads.append(await this.parts.api.threads(ROWS, threads.after)));
  }

  /** Asks for the first conversations of the list. */
  list(): Promise<void> {
    const limit = Math.min(MOST_ROWS, Math.max(ROWS, this.threads.rows.length));
    this.#listing ??= this.#listed(async () => {
      const page = await this.parts.api.threads(limit, null);
      this.threads.refresh(page, (row) => this.activeAt(row));
      for (const row of page.data) this.find(row.id)?.know(row);
    }).finally(() => {
      this.#listing = null;
    });
    return this.#listing;
  }

  /** Asks for everything that is looked at anew. */
  refresh(): void {
    this.#list();
    void this.load(this.open);
  }

  async load(conversation: Conversation): Promise<void> {
    if (conversation.id === null) {
      this.parts.changed();
      return;
    }
    const { id } = conversation;
    conversation.loading = !conversation.loaded;
    conversation.problem = null;
    this.parts.changed();
    const opinions = this.parts.api.feedback(id).then(
      (found) => {
        conversation.opinions = found;
      },
      // Thumbs are no reason to show nothing.
      () => {},
    );
    const answers = conversation.requests.size === 0 ? this.#follow(conversation) : Promise.resolve();
    answers.catch(() => {});
    await Promise.all([this.#loadNewest(conversation, false), opinions]);
    this.parts.changed();
  }

  async loadOlder(): Promise<void> {
    const { open: conversation } = this;
    const { older } = conversation.transcript;
    if (conversation.id === null || older === null || conversation.loadingOlder) return;
    conversation.loadingOlder = true;
    this.parts.changed();
    try {
      const page = await this.parts.api.items(conversation.id, ITEMS, older);
      if (conversation.transcript.older === older) conversation.transcript.prepend(page);
      conversation.problem = null;
    } catch (error) {
      // The item that it goes on from was deleted elsewhere: begin from what is there.
      if (error instanceof Failure && error.kind === "gone") await this.#loadNewest(conversation, true);
      else conversation.problem = problemOf(error);
    } finally {
      conversation.loadingOlder = false;
      this.parts.changed();
    }
  }

  activeAt(row: WireSummary): number {
    return timeOf(row.last_message_at ?? row.created_at, this.parts.policy(), 0);
  }

  /** What waits in a conversation, in its order. */
  waitingIn(conversation: Conversation): Unsent[] {
    return this.outbox.messages.filter(({ thread }) => conversation.is(thread));
  }

  #serve(): void {
    this.served = true;
    this.#sender.begin();
    const listen = () => void this.#changes.run(this.#end.signal);
    // One tab hears for all: browsers open few connections to a server. Where tabs cannot talk, each hears itself.
    const talks = this.parts.env.openChannel !== null;
    if (!talks) listen();
    void this.#lead.led.then(() => {
      if (this.#end.signal.aborted) return;
      this.#sender.lead();
      if (talks) listen();
    });
  }

  #new(): Conversation {
    const conversation = new Conversation(localThread(this.parts.env.newId()));
    this.#conversations.add(conversation);
    return conversation;
  }

  #idOf(key: string): string {
    const { id } = this.conversation(key);
    if (id === null) throw new Failure("This conversation is not on the server yet.", "refused");
    return id;
  }

  #mostRecent(): string | null {
    const row = this.rows[0];
    const waiting = this.outbox.messages.at(-1);
    if (waiting !== undefined && (row === undefined || waiting.created >= this.activeAt(row)))
      return waiting.thread;
    return row?.id ?? null;
  }

  async #listed(work: () => Promise<void>): Promise<void> {
    this.threads.loading = true;
    this.parts.changed();
    try {
      await work();
      this.threads.problem = null;
    } catch (error) {
      if (error instanceof Failure && error.kind === "gone") this.threads.hasMore = false;
      this.threads.problem = problemOf(error);
    } finally {
      this.threads.loading = false;
      this.parts.changed();
    }
  }

  /** Asks for the list in a moment: changes come in pairs and more. */
  #list(): void {
    this.#listSoon();
    this.#listSoon = this.parts.env.after(SOON_MS, () => void this.list());
  }

  async #loadNewest(conversation: Conversation, complete: boolean): Promise<void> {
    const { id, transcript } = conversation;
    if (id === null) return;
    conversation.stale = false;
    const asked = transcript.now;
    try {
      transcript.merge(await this.parts.api.items(id, ITEMS, null), asked, complete);
      conversation.loaded = true;
      conversation.problem = null;
    } catch (error) {
      conversation.problem = problemOf(error);
      if (error instanceof Failure && error.kind === "gone") this.#gone(conversation);
    } finally {
      conversation.loading = false;
      this.parts.changed();
    }
  }

  /** Follows an answer that is written elsewhere, when there is one, to its end. */
  async #follow(conversation: Conversation): Promise<void> {
    const { id } = conversation;
    if (id === null || conversation.requests.size > 0) return;
    const { api, connection, env, changed } = this.parts;
    const leave = new AbortController();
    conversation.requests.add(leave);
    let seen = false;
    try {
      for (let failures = 0; failures < MOST_FOLLOWS && !leave.signal.aborted; failures++) {
        await connection.online(leave.signal);
        try {
          const whole = await api.follow(id, leave.signal, (event) => {
            seen = true;
            conversation.answers.add(leave);
            conversation.apply(event, env.now());
            changed();
          });
          if (whole !== false) return;
        } catch (error) {
          if (!(error instanceof Failure && error.canRetry)) return;
        }
        await this.#pauses.wait(delayOf(failures, LONGEST_DELAY_MS, env.random()), leave.signal);
      }
    } finally {
      conversation.requests.delete(leave);
      conversation.answers.delete(leave);
      if (seen || conversation.stale) {
        conversation.transcript.cut();
        this.#ended(conversation);
      }
    }
  }

  /** Fetches what is stored of an answer that ended, or was left. */
  #ended(conversation: Conversation): void {
    if (this.#end.signal.aborted) return;
    conversation.progress = null;
    if (conversation.stale || conversation === this.open) void this.#loadNewest(conversation, false);
    this.#list();
    this.parts.changed();
  }

  #confirmed(confirmation: Confirmation): void {
    this.#tabs.tell({ kind: "confirmed", confirmation });
    this.#moveUp(confirmation);
  }

  /** Lists a conversation as the last active one, until the list is here. */
  #moveUp({ threadId, text }: Confirmation): void {
    const at = new Date(this.parts.env.now() + this.parts.policy().aheadMs).toISOString();
    this.threads.touch(threadId, { title: this.find(threadId)?.title ?? null, preview: previewOf(text), at });
    this.#list();
  }

  #hear(message: TabMessage): void {
    switch (message.kind) {
      case "outbox":
        void this.outbox.load().then(() => this.#sender.wake());
        return;
      case "retry":
        this.#retryHere();
        return;
      case "change":
        this.#changes.heard(message.change);
        this.#happened(message.change);
        return;
      case "confirmed": {
        const { key, thread, threadId, itemId } = message.confirmation;
        this.#moveUp(message.confirmation);
        const conversation = this.find(thread) ?? this.find(threadId);
        if (conversation === null) return;
        conversation.id = threadId;
        if (itemId !== null) conversation.transcript.rename(itemId, key);
        if (conversation === this.open) void this.load(conversation);
      }
    }
  }

  #retryHere(): void {
    void this.parts.connection.probe();
    this.#pauses.wake();
    this.#sender.wake();
  }

  #happened({ kind, threadId, itemId }: Change): void {
    if (kind === "resync" || threadId === null) {
      this.refresh();
      return;
    }
    const conversation = this.find(threadId);
    if (kind === "thread.deleted") {
      if (conversation === null) this.threads.remove(threadId);
      else this.#gone(conversation);
      return;
    }
    this.#list();
    if (conversation === null || kind.startsWith("thread.")) return;
    if (kind === "item.removed" && itemId !== null) {
      conversation.transcript.remove(itemId);
      this.parts.changed();
    } else if (conversation.answers.size > 0) {
      // Most likely what is followed here anyway.
      conversation.stale ||= itemId === null || !conversation.transcript.has(itemId);
    } else if (conversation === this.open) void this.#catchUp(conversation);
  }

  /** Shows what another device said, and the answer to it as it is written. */
  async #catchUp(conversation: Conversation): Promise<void> {
    await this.#loadNewest(conversation, false);
    if (conversation.transcript.last?.item.type !== "assistant_message") await this.#follow(conversation);
  }

  /** It was deleted, here or elsewhere. */
  #gone(conversation: Conversation): void {
    if (this.waitingIn(conversation).length === 0) this.#drop(conversation);
    else if (conversation.id !== null) this.threads.remove(conversation.id);
    this.parts.changed();
  }

  #drop(conversation: Conversation): void {
    for (const request of conversation.requests) request.abort();
    this.#conversations.delete(conversation);
    if (conversation.id !== null) this.threads.remove(conversation.id);
    if (conversation === this.open) {
      const next = this.#mostRecent();
      this.open = next === null ? this.#new() : this.conversation(next);
      void this.load(this.open);
    }
    this.parts.changed();
  }

  /** A signal that aborts when no answer is followed in a conversation any more. */
  #whenIdle(conversation: Conversation): AbortSignal {
    const idle = new AbortController();
    const look = () => {
      if (conversation.answers.size === 0) idle.abort();
      else if (!this.#end.signal.aborted) this.parts.env.after(SOON_MS, look);
    };
    look();
    return idle.signal;
  }
}

function unlessGone(error: unknown): void {
  if (!(error instanceof Failure && error.kind === "gone")) throw error;
}
