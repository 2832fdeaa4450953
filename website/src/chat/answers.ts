import { mayHaveArrived, type Unsent } from "./outbox/message";
import type { Outbox } from "./outbox/outbox";
import type { Sender } from "./outbox/sender";
import { Failure } from "./protocol/failure";
import type { Reader } from "./reader";
import type { Conversation } from "./state/conversation";
import type { TurnTools } from "./turn";

const STOP_MS = 1_500;
const LOOK_MS = 50;

/** What a person can do with an answer. */
export class Answers {
  /** Where a wish is being written down. */
  readonly #wishing = new Set<Conversation>();

  constructor(
    private readonly tools: TurnTools,
    private readonly outbox: Outbox,
    private readonly sender: Sender,
    private readonly reader: Reader,
  ) {}

  /** Ends what is being written, at the server. */
  async stop(conversation: Conversation): Promise<void> {
    const { id, transcript } = conversation;
    if (id === null) return;
    const followed = [...conversation.answers];
    const writing = [...transcript.nodes].filter((node) => node.kind === "item" && node.state === "writing");
    const wishes = this.outbox.wishesIn(conversation);
    await this.#unwish(wishes);
    if (followed.length === 0 && wishes.length > 0 && !wishes.some(mayHaveArrived)) return;
    await this.tools.api.stop(id);
    for (const node of writing) transcript.stopped(node.key);
    this.tools.changed();
    // The stream ends by itself when the server has stopped; one that does not is left.
    const end = this.tools.env.now() + STOP_MS;
    const isFollowed = () => followed.some((answer) => conversation.answers.has(answer));
    while (isFollowed() && this.tools.env.now() < end) {
      await this.tools.pauses.wait(LOOK_MS, new AbortController().signal);
    }
    for (const answer of followed) answer.abort();
    await this.reader.newest(conversation);
  }

  /** Goes on with an answer that was cut off; what is not written any more is as it is stored. */
  async join(conversation: Conversation): Promise<void> {
    await this.reader.follow(conversation);
    await this.reader.newest(conversation, true);
  }

  /** Has the last message answered anew: as soon as that can be asked of the server, from whatever page then is open. */
  async regenerate(conversation: Conversation): Promise<void> {
    const { id } = conversation;
    const message = conversation.transcript.lastOfType("user_message");
    if (id === null || message === null) throw new Failure("There is nothing to answer here.", "refused");
    const { outbox } = this;
    const isSent = outbox.waiting.some(({ thread, state }) => state !== "refused" && conversation.is(thread));
    if (isSent || conversation.answers.size > 0 || this.#wishing.has(conversation))
      throw new Failure("An answer is being written already.", "refused");
    this.#wishing.add(conversation);
    try {
      const { env } = this.tools;
      const fresh = { body: null, state: "waiting", nextTryAt: null, problem: null } as const;
      const wish = { thread: id, text: "", again: message.item.id, created: env.now() };
      await outbox.add({ key: env.newId(), ...wish, ...fresh });
    } finally {
      this.#wishing.delete(conversation);
    }
    this.sender.wake();
  }

  /** Whatever was to be answered anew is not any more. */
  async #unwish(wishes: readonly Unsent[]): Promise<void> {
    for (const wish of wishes) await this.outbox.remove(wish);
    this.tools.pauses.wake();
  }
}
