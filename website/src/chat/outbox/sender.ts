import type { Problem } from "../contract";
import { type Body, bodyOfMessage, bodyOfRetry } from "../protocol/api";
import { Failure } from "../protocol/failure";
import type { Conversation } from "../state/conversation";
import { type Outcome, Turn, type TurnTools } from "../turn";
import { isLocal, type Unsent } from "./message";
import type { Confirmation, Outbox } from "./outbox";

export interface Sending {
  readonly tools: TurnTools;
  readonly outbox: Outbox;
  conversationOf(thread: string): Conversation;
  confirmed(confirmation: Confirmation): void;
  /** A message is being answered anew. */
  answering(thread: string): void;
  /** A message is not answered anew, and why. */
  unfulfilled(thread: string, problem: Problem): void;
  /** An answer ended here, however it did. */
  ended(conversation: Conversation): void;
}

const ITEMS = 40;

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
    for (const message of this.sending.outbox.waiting) {
      const conversation = this.sending.conversationOf(message.thread);
      if (!this.#running.has(conversation) && this.#next(conversation) !== null) void this.#run(conversation);
    }
  }

  close(): void {
    this.#open = false;
  }

  #next(conversation: Conversation): Unsent | null {
    const { outbox } = this.sending;
    const next = outbox.waiting.find(({ thread, state }) => state !== "refused" && conversation.is(thread));
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
    const body = message.body ?? bodyOf(message, conversation);
    const leave = new AbortController();
    let confirmed = Promise.resolve();
    let isGone = false;
    const { again } = message;
    const turn = new Turn(tools, conversation, {
      body,
      key: message.key,
      taken: (itemId) => {
        conversation.answers.add(leave);
        if (again === undefined) confirmed = this.#confirm(message, conversation, itemId);
        else this.sending.answering(message.thread);
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
      ...(again !== undefined && {
        check: () => this.#checkLast(conversation, again),
        // The old answer stays in sight until the new one comes.
        begins: () => conversation.transcript.removeBehind(again),
      }),
    });
    // Who only follows an answer makes way: the same events would come twice.
    conversation.leave();
    conversation.requests.add(leave);
    conversation.transcript.unsay();
    try {
      const outcome = await turn.run(leave.signal);
      await confirmed;
      await (again === undefined
        ? this.#note(message, outcome)
        : this.#noteAgain(message, outcome, leave.signal));
      return isGone || outcome.kind !== "left";
    } finally {
      conversation.requests.delete(leave);
      conversation.answers.delete(leave);
      conversation.transcript.cut();
      this.sending.ended(conversation);
    }
  }

  async #note(message: Unsent, outcome: Outcome): Promise<void> {
    const { outbox } = this.sending;
    if (outcome.kind === "refused") {
      await outbox.update(message, { state: "refused", nextTryAt: null, problem: outcome.problem });
    } else if (outcome.kind === "left") {
      await outbox.update(message, { state: "waiting", nextTryAt: null });
    }
  }

  /** Until its answer is whole it is asked for by the next page; what is cut can be asked for by a button. */
  async #noteAgain(message: Unsent, outcome: Outcome, leave: AbortSignal): Promise<void> {
    const { outbox, unfulfilled } = this.sending;
    // Left in its middle, too, when somebody else is before the page; what was stopped is not in the outbox any more.
    if (outcome.kind === "left" || (outcome.kind === "cut" && leave.aborted)) {
      await outbox.update(message, { state: "waiting", nextTryAt: null });
      return;
    }
    await outbox.remove(message);
    if (outcome.kind === "refused") unfulfilled(message.thread, outcome.problem);
  }

  /** Whatever stands behind a message goes when it is answered anew: nothing that somebody said since may. */
  async #checkLast(conversation: Conversation, itemId: string): Promise<void> {
    const { data } = await this.sending.tools.api.items(conversation.id ?? "", ITEMS, null);
    const last = data.find(({ type }) => type === "user_message");
    if (last !== undefined && last.id !== itemId)
      throw new Failure("More was said after this message, so it is not answered again.", "refused");
  }

  #confirm(message: Unsent, conversation: Conversation, itemId: string | null): Promise<void> {
    const threadId = conversation.id ?? message.thread;
    const { key, thread, text } = message;
    if (itemId !== null) conversation.transcript.rename(itemId, key);
    this.sending.confirmed({ key, thread, threadId, itemId, text });
    return this.sending.outbox.confirm(message, threadId);
  }
}

function bodyOf({ thread, text, again }: Unsent, { id }: Conversation): Body {
  if (again !== undefined) return bodyOfRetry(thread, again);
  return bodyOfMessage(isLocal(thread) ? id : thread, text);
}
