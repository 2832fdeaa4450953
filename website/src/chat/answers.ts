import type { Sender } from "./outbox/sender";
import { bodyOfRetry } from "./protocol/api";
import { Failure } from "./protocol/failure";
import type { Reader } from "./reader";
import type { Conversation } from "./state/conversation";
import type { Outcome } from "./turn";
import { Turn, type TurnTools } from "./turn";

const STOP_MS = 1_500;
const LOOK_MS = 50;

/** What a person can do with an answer. */
export class Answers {
  constructor(
    private readonly tools: TurnTools,
    private readonly sender: Sender,
    private readonly reader: Reader,
    private readonly ended: (conversation: Conversation) => void,
  ) {}

  /** Ends what is being written, at the server. */
  async stop(conversation: Conversation): Promise<void> {
    const { id, transcript } = conversation;
    if (id === null) return;
    const followed = [...conversation.answers];
    const writing = [...transcript.nodes].filter((node) => node.kind === "item" && node.state === "writing");
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

  /** Has the last message answered anew. */
  async regenerate(conversation: Conversation): Promise<void> {
    const message = conversation.transcript.lastOfType("user_message");
    if (conversation.id === null || message === null)
      throw new Failure("There is nothing to answer here.", "refused");
    const body = bodyOfRetry(conversation.id, message.item.id);
    const outcome =
      conversation.answers.size > 0
        ? null
        : await this.sender.alone(conversation, () => this.#ask(conversation, message.item.id, body));
    if (outcome === null) throw new Failure("An answer is being written already.", "refused");
    if (outcome.kind === "refused") throw new Failure(outcome.problem.message, "refused");
  }

  /** The request is sent until it is answered, as long as the page lives; nothing that was typed hangs on it. */
  async #ask(conversation: Conversation, messageId: string, body: string): Promise<Outcome> {
    const leave = new AbortController();
    const turn = new Turn(this.tools, conversation, {
      body,
      key: this.tools.env.newId(),
      // The old answer stays in sight until the new one comes.
      begins: () => conversation.transcript.removeBehind(messageId),
      taken: () => {},
      trying: async () => {},
      waiting: async () => {},
    });
    conversation.leave();
    conversation.requests.add(leave);
    conversation.answers.add(leave);
    conversation.transcript.unsay();
    this.tools.changed();
    try {
      return await turn.run(leave.signal);
    } finally {
      conversation.requests.delete(leave);
      conversation.answers.delete(leave);
      conversation.transcript.cut();
      this.ended(conversation);
    }
  }
}
