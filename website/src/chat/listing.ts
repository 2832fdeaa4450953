import type { Environment } from "./environment";
import { type Policy, timeOf } from "./identity/policy";
import type { Outbox } from "./outbox/outbox";
import type { Api } from "./protocol/api";
import { Failure, problemOf } from "./protocol/failure";
import type { WireSummary } from "./protocol/wire";
import { arrivedRows } from "./state/arrived";
import type { Conversations } from "./state/conversations";
import { previewOf, Threads } from "./state/threads";

export interface ListingParts {
  readonly env: Environment;
  readonly api: Api;
  readonly outbox: Outbox;
  readonly conversations: Conversations;
  readonly policy: () => Policy;
  readonly changed: () => void;
}

const ROWS = 30;
const MOST_ROWS = 100;
const SOON_MS = 60;

/** Keeps the list of conversations as the server has it. */
export class Listing {
  readonly threads = new Threads();
  #running: Promise<void> | null = null;
  #adding: Promise<void> | null = null;
  #callOff = () => {};

  constructor(private readonly parts: ListingParts) {}

  /** The list without conversations that are shown already, as what was begun here and not confirmed yet. */
  get rows(): readonly WireSummary[] {
    const { outbox, conversations, policy } = this.parts;
    const isKnown = (row: WireSummary) => conversations.find(row.id) !== null;
    const arrived = arrivedRows(this.threads.rows, outbox.messages, isKnown, policy());
    return arrived.size === 0 ? this.threads.rows : this.threads.rows.filter((row) => !arrived.has(row));
  }

  /** What the most recent conversation is called, here or on the server. */
  get mostRecent(): string | null {
    const row = this.rows[0];
    const waiting = this.parts.outbox.messages.at(-1);
    if (waiting !== undefined && (row === undefined || waiting.created >= this.#activeAt(row)))
      return waiting.thread;
    return row?.id ?? null;
  }

  /** Asks for the first conversations. */
  load(): Promise<void> {
    const limit = Math.min(MOST_ROWS, Math.max(ROWS, this.threads.rows.length));
    this.#running ??= this.#listed(async () => {
      const page = await this.parts.api.threads(limit, null);
      this.threads.refresh(page, (row) => this.#activeAt(row));
      for (const row of page.data) this.parts.conversations.find(row.id)?.know(row);
    }).finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  /** Asks for them in a moment: changes come in pairs and more. */
  loadSoon(): void {
    this.#callOff();
    // A page that is on its way may be of before the change.
    this.#callOff = this.parts.env.after(SOON_MS, () => void this.#idle().then(() => this.load()));
  }

  async #idle(): Promise<void> {
    await this.#running;
  }

  /** Asks for the next ones. Who asks twice gets one page. */
  loadMore(): Promise<void> {
    this.#adding ??= this.#add().finally(() => {
      this.#adding = null;
    });
    return this.#adding;
  }

  async #add(): Promise<void> {
    const { threads } = this;
    // The first page may change where to go on from.
    await this.#idle();
    if (!threads.hasMore) return;
    await this.#listed(async () => threads.append(await this.parts.api.threads(ROWS, threads.after)));
  }

  /** Lists a conversation as the last active one, until the list says so. */
  moveUp(threadId: string, text: string): void {
    const at = new Date(this.parts.env.now() + this.parts.policy().aheadMs).toISOString();
    const title = this.parts.conversations.find(threadId)?.title ?? null;
    this.threads.touch(threadId, { title, preview: previewOf(text), at });
    this.loadSoon();
  }

  close(): void {
    this.#callOff();
  }

  #activeAt(row: WireSummary): number {
    return timeOf(row.last_message_at ?? row.created_at, this.parts.policy(), 0);
  }

  async #listed(work: () => Promise<void>): Promise<void> {
    this.threads.loading = true;
    this.parts.changed();
    try {
      await work();
      this.threads.problem = null;
    } catch (error) {
      // The place to go on from was deleted elsewhere: the next look at the list begins anew.
      if (error instanceof Failure && error.kind === "gone") {
        this.threads.lose();
        this.loadSoon();
      }
      this.threads.problem = problemOf(error);
    } finally {
      this.threads.loading = false;
      this.parts.changed();
    }
  }
}
