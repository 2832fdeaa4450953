import type { StorageState } from "../contract";
import type { Draft, Unsent } from "./message";
import type { MemoryShelf, Shelf } from "./shelf";

/** What a message was confirmed as. */
export interface Confirmation {
  readonly key: string;
  /** What the conversation was called here. */
  readonly thread: string;
  readonly threadId: string;
  readonly itemId: string | null;
  readonly text: string;
}

/**
 * What one person has to send: what is stored, and a copy of it to look at. Other owners' messages are
 * never read. A message that cannot be stored is kept in memory, and `storage` says so.
 */
export class Outbox {
  /** All that waits, in its order: what was typed, and what is to be answered anew. */
  waiting: readonly Unsent[] = [];
  /** Of that, what was typed. */
  messages: readonly Unsent[] = [];
  storage: StorageState;
  #queue: Promise<unknown> = Promise.resolve();

  /** `changed` is called after each change; `told` after each that other tabs have to look at, too. */
  constructor(
    readonly owner: string,
    private readonly stored: Shelf | null,
    /** For what cannot be stored; the same one for all owners, so that a visitor's can be handed over. */
    private readonly memory: MemoryShelf,
    private readonly changed: () => void,
    private readonly told: () => void,
  ) {
    this.storage = stored === null ? "unavailable" : "kept";
  }

  /** Looks at what is stored. */
  load(): Promise<void> {
    return this.#inTurn(() => this.#look());
  }

  /** Resolves when it is written down. */
  add(draft: Omit<Draft, "owner">): Promise<Unsent> {
    return this.#inTurn(async () => {
      const message = await this.#store({ ...draft, owner: this.owner });
      this.#show([...this.waiting, message]);
      return message;
    });
  }

  /** Changes a message. Resolves to false, and changes nothing, when it is gone: taken back, here or in another tab. */
  update(message: Unsent, change: Partial<Unsent>): Promise<boolean> {
    return this.#inTurn(async () => {
      const now = this.waiting.find((other) => other.key === message.key);
      if (now === undefined) return false;
      const next = { ...now, ...change };
      // Kept in memory all the same when it cannot be stored: then the next page tries anew, with the same key.
      const isThere = await this.#shelfOf(now).replace(next).catch(this.#troubled);
      if (isThere === false) this.#hide(message);
      else this.#show(this.waiting.map((other) => (other.key === message.key ? next : other)));
      return isThere !== false;
    });
  }

  /** Removes a message that cannot have arrived. Resolves to whether it was removed: from then on nobody sends it. */
  withdraw(message: Unsent): Promise<boolean> {
    return this.#inTurn(async () => {
      const isRemoved = await this.#shelfOf(message).withdraw(message).catch(this.#troubled);
      if (isRemoved !== false) this.#hide(message);
      else await this.#look();
      return isRemoved !== false;
    });
  }

  remove(message: Unsent): Promise<void> {
    return this.#inTurn(async () => {
      await this.#shelfOf(message).remove(message).catch(this.#troubled);
      this.#hide(message);
    });
  }

  /** Removes a message that the server has; others of its conversation wait for the one with this id. */
  confirm(message: Unsent, threadId: string): Promise<void> {
    return this.#inTurn(async () => {
      for (const shelf of this.#shelves()) await shelf.confirm(message, threadId).catch(this.#troubled);
      this.#show(
        this.waiting
          .filter((other) => other.key !== message.key)
          .map((other) => (other.thread === message.thread ? { ...other, thread: threadId } : other)),
      );
    });
  }

  /** Makes all of another owner's messages this one's. Resolves to whether that was done to all: storage may fail. */
  takeOver(from: string): Promise<boolean> {
    return this.#inTurn(async () => {
      let isDone = true;
      for (const shelf of this.#shelves()) {
        await shelf.hand(from, this.owner).catch((error) => {
          this.#troubled(error);
          isDone = false;
        });
      }
      await this.#look();
      this.told();
      return isDone;
    });
  }

  /** What is to be answered anew in a conversation. */
  wishesIn(conversation: { is(thread: string): boolean }): Unsent[] {
    return this.waiting.filter(({ again, thread }) => again !== undefined && conversation.is(thread));
  }

  /** Tells whether only this tab has it. */
  isOnlyHere(message: Unsent): boolean {
    return this.memory.has(message);
  }

  async #store(draft: Draft): Promise<Unsent> {
    const behind = this.waiting.at(-1)?.seq ?? 0;
    if (this.stored !== null) {
      try {
        const message = await this.stored.add(draft, behind);
        this.storage = "kept";
        return message;
      } catch (error) {
        this.#troubled(error);
      }
    }
    return this.memory.add(draft, behind);
  }

  readonly #troubled = (error: unknown): void => {
    this.storage = (error as DOMException | null)?.name === "QuotaExceededError" ? "full" : "unavailable";
  };

  async #look(): Promise<void> {
    const here = await this.memory.all(this.owner);
    const stored =
      (await this.stored?.all(this.owner).catch((error) => {
        this.#troubled(error);
        return this.waiting.filter((message) => !this.memory.has(message));
      })) ?? [];
    this.#hold([...stored, ...here].sort((a, b) => a.seq - b.seq));
    this.changed();
  }

  #hold(waiting: readonly Unsent[]): void {
    this.waiting = waiting;
    this.messages = waiting.filter(({ again }) => again === undefined);
  }

  #show(waiting: readonly Unsent[]): void {
    this.#hold(waiting);
    this.changed();
    this.told();
  }

  #hide(message: Unsent): void {
    this.#show(this.waiting.filter((other) => other.key !== message.key));
  }

  #shelves(): Shelf[] {
    return this.stored === null ? [this.memory] : [this.stored, this.memory];
  }

  #shelfOf(message: Unsent): Shelf {
    return this.stored === null || this.memory.has(message) ? this.memory : this.stored;
  }

  /** One change after the other, so that a look at what is stored never undoes a later change. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#queue.then(work);
    this.#queue = done.catch(() => {});
    return done;
  }
}
