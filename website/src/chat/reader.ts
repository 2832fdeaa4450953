import { delayOf } from "./connection/backoff";
import { Failure, problemOf } from "./protocol/failure";
import type { Conversation } from "./state/conversation";
import type { TurnTools } from "./turn";

const ITEMS = 40;
const MOST_FOLLOWS = 5;
const LONGEST_DELAY_MS = 30_000;

/** Newest items that are on their way, and those that are wanted after them. */
interface Asked {
  readonly done: Promise<void>;
  next: Promise<void> | null;
  complete: boolean;
}

/** Fetches what was said in conversations, and follows what is being said in them elsewhere. */
export class Reader {
  readonly #asked = new Map<Conversation, Asked>();

  /** `gone`: the server has no such conversation any more. `ended`: an answer that was followed is over. */
  constructor(
    private readonly tools: TurnTools,
    private readonly gone: (conversation: Conversation) => void,
    private readonly ended: (conversation: Conversation) => void,
  ) {}

  /** Shows a conversation as it is stored, with the answer that is being written in it. */
  async load(conversation: Conversation): Promise<void> {
    const { id } = conversation;
    if (id !== null) {
      conversation.loading = !conversation.loaded;
      this.tools.changed();
      void this.follow(conversation);
      await Promise.all([this.newest(conversation), this.#opinions(conversation, id)]);
    }
    this.tools.changed();
  }

  /** Shows what another device said, and the answer to it as it is written. */
  async catchUp(conversation: Conversation): Promise<void> {
    await this.newest(conversation);
    if (conversation.transcript.last?.item.type !== "assistant_message") await this.follow(conversation);
  }

  /** Fetches the newest items. `complete`: what is not stored is gone, also what was cut off. */
  newest(conversation: Conversation, complete = false): Promise<void> {
    const before = this.#asked.get(conversation);
    if (before !== undefined) {
      // The page on its way may be of before the change: another one is asked for behind it, one for all changes.
      before.complete ||= complete;
      before.next ??= before.done.then(() => this.newest(conversation, before.complete));
      return before.next;
    }
    const done = this.#newest(conversation, complete).finally(() => this.#asked.delete(conversation));
    this.#asked.set(conversation, { done, next: null, complete: false });
    return done;
  }

  async #newest(conversation: Conversation, complete: boolean): Promise<void> {
    const { id, transcript } = conversation;
    if (id === null) return;
    conversation.stale = false;
    const asked = transcript.now;
    try {
      transcript.merge(await this.tools.api.items(id, ITEMS, null), asked, complete);
      conversation.loaded = true;
      conversation.problem = null;
    } catch (error) {
      conversation.problem = problemOf(error);
      if (isGone(error)) this.gone(conversation);
    } finally {
      conversation.loading = false;
      this.tools.changed();
    }
  }

  async older(conversation: Conversation): Promise<void> {
    const { id, transcript } = conversation;
    const { older } = transcript;
    if (id === null || older === null || conversation.loadingOlder) return;
    conversation.loadingOlder = true;
    this.tools.changed();
    try {
      const page = await this.tools.api.items(id, ITEMS, older);
      if (transcript.older === older) transcript.prepend(page);
      conversation.problem = null;
    } catch (error) {
      conversation.problem = problemOf(error);
      // The item that it goes on from was deleted elsewhere: what there is is the place to begin from.
      if (isGone(error)) {
        transcript.clear();
        await this.newest(conversation, true);
      }
    } finally {
      conversation.loadingOlder = false;
      this.tools.changed();
    }
  }

  /** Follows an answer that is written elsewhere, when there is one, to its end. Whoever asks for one goes first. */
  async follow(conversation: Conversation): Promise<void> {
    const { id } = conversation;
    if (id === null || conversation.requests.size > 0) return;
    const leave = new AbortController();
    conversation.requests.add(leave);
    try {
      await this.#follow(conversation, id, leave);
    } finally {
      const followed = conversation.answers.delete(leave);
      conversation.requests.delete(leave);
      if (followed) conversation.transcript.cut();
      if (followed || conversation.stale) this.ended(conversation);
      this.tools.changed();
    }
  }

  async #follow(conversation: Conversation, id: string, leave: AbortController): Promise<void> {
    const { api, connection, env, pauses, changed } = this.tools;
    for (let failures = 0; failures < MOST_FOLLOWS && !leave.signal.aborted; failures++) {
      await connection.online(leave.signal);
      try {
        const whole = await api.follow(id, leave.signal, (event) => {
          conversation.answers.add(leave);
          conversation.apply(event, env.now());
          changed();
        });
        if (whole !== false) return;
      } catch (error) {
        if (!(error instanceof Failure && error.canRetry)) return;
      }
      await pauses.wait(delayOf(failures, LONGEST_DELAY_MS, env.random()), leave.signal);
    }
  }

  async #opinions(conversation: Conversation, id: string): Promise<void> {
    try {
      conversation.opinions = await this.tools.api.feedback(id);
    } catch {
      // Thumbs are no reason to show nothing.
    }
  }
}

function isGone(error: unknown): boolean {
  return error instanceof Failure && error.kind === "gone";
}
