import { bodyOfMessage } from "../protocol/api";
import type { Conversation } from "../state/conversation";
import { Turn, type TurnTools } from "../turn";
import { isLocal, type Unsent } from "./message";
import type { Confirmation, Outbox } from "./outbox";

export interface Sending {
  readonly tools: TurnTools;
  readonly outbox: Outbox;
  conversationOf(thread: string): Conversation;
  confirmed(confirmation: Confirmation): void;
  /** An answer ended here, however it did. */
  ended(conversation: Conversation): void;
}

/**
 * Sends what waits: the messages of one conversation one after the other, each when the one before is
 * answered, conversations side by side.
 */
export class Sender {
  #open = false;
  #leads = false;
  readonly #running = new Set<Conversation>();

  constructor(private readonly sending: Sending) {}

  /** From now on this tab sends what no other tab can see. */
  begin(): void {
    this.#open = true;
    this.wake();
  }

  /** From now on it sends for all tabs. */
  lead(): void {
    this.#leads = true;
    this.wake();
  }

  /** Looks for something to send. */
  wake(): void {
    if (!this.#open) return;
    for (const message of this.sending.outbox.messages) {
      const conversation = this.sending.conversationOf(message.thread);
      if (!this.#running.has(conversation) && this.#next(conversation) !== null) void this.#run(conversation);
    }
  }

  /** Does something in a conversation while nothing is sent in it. Returns null when something is. */
  async alone<T>(conversation: Conversation, work: () => Promise<T>): Promise<T | null> {
    if (this.#running.has(conversation)) return null;
    this.#running.add(conversation);
    try {
      return await work();
    } finally {
      this.#running.delete(conversation);
      this.wake();
    }
  }

  close(): void {
    this.#open = false;
  }

  #next(conversation: Conversation): Unsent | null {
    const { outbox } = this.sending;
    const next = outbox.messages.find(({ thread, state }) => state !== "refused" && conversation.is(thread));
    return next !== undefined && (this.#leads || outbox.isOnlyHere(next)) ? next : null;
  }

  async #run(conversation: Conversation): Promise<void> {
    this.#running.add(conversation);
    try {
      while (this.#open) {
        const message = this.#next(conversation);
        if (message === null || !(await this.#send(message, conversation))) return;
      }
    } finally {
      this.#running.delete(conversation);
    }
  }

  /** Returns whether to go on with the next one. */
  async #send(message: Unsent, conversation: Conversation): Promise<boolean> {
    const { tools, outbox } = this.sending;
    const body =
      message.body ?? bodyOfMessage(isLocal(message.thread) ? conversation.id : message.thread, message.text);
    const leave = new AbortController();
    let confirmed = Promise.resolve();
    let isGone = false;
    const turn = new Turn(tools, conversation, {
      body,
      key: message.key,
      taken: (itemId) => {
        conversation.answers.add(leave);
        confirmed = this.#confirm(message, conversation, itemId);
      },
      trying: async () => {
        const sending = { body, state: "sending", nextTryAt: null, problem: null } as const;
        const isThere = await outbox.update(message, sending);
        // One that is taken is not in the outbox any more: it is only its answer that is asked for.
        isGone = !isThere && !conversation.answers.has(leave);
        if (isGone) leave.abort();
      },
      waiting: async (problem, nextTryAt) => {
        await outbox.update(message, { state: "waiting", nextTryAt, problem });
      },
    });
    // Who only follows an answer makes way: the same events would come twice.
    conversation.leave();
    conversation.requests.add(leave);
    conversation.transcript.unsay();
    try {
      const outcome = await turn.run(leave.signal);
      await confirmed;
      if (outcome.kind === "refused") {
        await outbox.update(message, { state: "refused", nextTryAt: null, problem: outcome.problem });
      } else if (outcome.kind === "left") {
        await outbox.update(message, { state: "waiting", nextTryAt: null });
      }
      return isGone || outcome.kind !== "left";
    } finally {
      conversation.requests.delete(leave);
      conversation.answers.delete(leave);
      conversation.transcript.cut();
      this.sending.ended(conversation);
    }
  }

  #confirm(message: Unsent, conversation: Conversation, itemId: string | null): Promise<void> {
    const threadId = conversation.id ?? message.thread;
    const { key, thread, text } = message;
    if (itemId !== null) conversation.transcript.rename(itemId, key);
    this.sending.confirmed({ key, thread, threadId, itemId, text });
    return this.sending.outbox.confirm(message, threadId);
  }
}
