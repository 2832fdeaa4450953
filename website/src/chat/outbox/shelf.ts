import { type Draft, mayHaveArrived, type Unsent } from "./message";

/** Where unsent messages are. Each method is done as a whole or not at all. */
export interface Shelf {
  /** In the order they were written down. */
  all(owner: string): Promise<Unsent[]>;
  /** `behind`: the number of the last message that is known, for shelves that do not number themselves. */
  add(draft: Draft, behind: number): Promise<Unsent>;
  /** Resolves to whether it was still there, and the same owner's. */
  replace(message: Unsent): Promise<boolean>;
  remove(message: Unsent): Promise<void>;
  /** Removes a message unless it is gone or may have arrived by now. Resolves to whether it was removed. */
  withdraw(message: Unsent): Promise<boolean>;
  /** Removes a message; what else waits in its conversation is from now on for the one with this id. */
  confirm(message: Unsent, threadId: string): Promise<void>;
  /** Makes all of one owner's another's. */
  hand(from: string, to: string): Promise<void>;
}

/** For as long as the page lives, and for this tab only. */
export class MemoryShelf implements Shelf {
  readonly #messages = new Map<number, Unsent>();
  #last = 0;

  async all(owner: string): Promise<Unsent[]> {
    return [...this.#messages.values()].filter((message) => message.owner === owner);
  }

  async add(draft: Draft, behind = 0): Promise<Unsent> {
    // Between what is stored now and what may be stored next, whose numbers are whole.
    this.#last = Math.max(this.#last, behind) + 1e-6;
    const message = { ...draft, seq: this.#last };
    this.#messages.set(message.seq, message);
    return message;
  }

  async replace(message: Unsent): Promise<boolean> {
    const isHere = this.#messages.has(message.seq);
    if (isHere) this.#messages.set(message.seq, message);
    return isHere;
  }

  async remove(message: Unsent): Promise<void> {
    this.#messages.delete(message.seq);
  }

  async withdraw({ seq }: Unsent): Promise<boolean> {
    const message = this.#messages.get(seq);
    return message !== undefined && !mayHaveArrived(message) && this.#messages.delete(seq);
  }

  async confirm(message: Unsent, threadId: string): Promise<void> {
    this.#messages.delete(message.seq);
    this.#change(
      (other) => other.owner === message.owner && other.thread === message.thread,
      (other) => ({ ...other, thread: threadId }),
    );
  }

  async hand(from: string, to: string): Promise<void> {
    this.#change(
      (message) => message.owner === from,
      (message) => ({ ...message, owner: to }),
    );
  }

  has(message: Unsent): boolean {
    return this.#messages.has(message.seq);
  }

  #change(which: (message: Unsent) => boolean, change: (message: Unsent) => Unsent): void {
    for (const message of this.#messages.values()) {
      if (which(message)) this.#messages.set(message.seq, change(message));
    }
  }
}
