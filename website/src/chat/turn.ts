import { delayOf } from "./connection/backoff";
import type { ServerConnection } from "./connection/connection";
import type { Problem } from "./contract";
import type { Environment } from "./environment";
import type { Pauses } from "./pause";
import type { Api, Body } from "./protocol/api";
import { Failure, problemOf } from "./protocol/failure";
import { itemOf, type WireEvent } from "./protocol/wire";
import { type Conversation, errorOf } from "./state/conversation";

export interface TurnTools {
  readonly env: Environment;
  readonly api: Api;
  readonly connection: ServerConnection;
  readonly pauses: Pauses;
  readonly changed: () => void;
}

/** A request that is answered by a stream, and what is to be told of it. */
export interface Asking {
  readonly body: Body;
  readonly key: string;
  /** Called once, when the server has taken it; with the item that the message became, where it says so. */
  taken(itemId: string | null): void;
  /** Called before the first event of its answer is shown. */
  begins?(): void;
  /** Before each attempt until it is taken: rejects with a Failure when it must not be asked any more. */
  check?(): Promise<void>;
  /** Before each attempt; there is none when the signal is aborted meanwhile. */
  trying(): Promise<void>;
  /** Between two attempts. */
  waiting(problem: Problem, nextTryAt: number | null): Promise<void>;
}

export type Outcome =
  | { readonly kind: "whole" }
  /** Taken, and not answered to the end. */
  | { readonly kind: "cut" }
  | { readonly kind: "refused"; readonly problem: Problem }
  /** Given up from here, without a word from the server. */
  | { readonly kind: "left" };

const LONGEST_DELAY_MS = 30_000;
/** A message is sent until it is taken; its answer is asked for so many times more. */
const MOST_TRIES_ONCE_TAKEN = 8;

/** Sends one request, again and again with the same key, until its answer is whole. */
export class Turn {
  #taken = false;
  #begun = false;
  #failure: Failure | null = null;
  /** What this attempt has shown. */
  #shown = new Set<string>();
  /** What earlier ones have; this one shows it anew, or something else. */
  readonly #earlier = new Set<string>();

  constructor(
    private readonly tools: TurnTools,
    private readonly conversation: Conversation,
    private readonly asking: Asking,
  ) {}

  async run(signal: AbortSignal): Promise<Outcome> {
    const { connection, pauses, env } = this.tools;
    for (let failures = 0; !signal.aborted; failures++) {
      await connection.online(signal);
      if (signal.aborted) break;
      try {
        await this.#attempt(signal);
        return { kind: "whole" };
      } catch (error) {
        if (signal.aborted) break;
        const failure = error instanceof Failure ? error : null;
        // Whoever is not known here any more has another session soon; until then this is still theirs to send.
        if (failure === null || !(failure.canRetry || failure.kind === "unauthorized"))
          return this.#ended(error);
        if (this.#taken && failures >= MOST_TRIES_ONCE_TAKEN) return { kind: "cut" };
        const delay = Math.max(failure.retryAfterMs ?? 0, delayOf(failures, LONGEST_DELAY_MS, env.random()));
        await this.asking.waiting(problemOf(failure), env.now() + delay);
        await pauses.wait(delay, signal);
      }
    }
    return this.#taken ? { kind: "cut" } : { kind: "left" };
  }

  #ended(error: unknown): Outcome {
    const problem = problemOf(error);
    if (!this.#taken) return { kind: "refused", problem };
    this.conversation.transcript.say(problem, this.tools.env.now());
    return { kind: "cut" };
  }

  async #attempt(signal: AbortSignal): Promise<void> {
    for (const id of this.#shown) this.#earlier.add(id);
    this.#shown = new Set();
    this.#failure = null;
    // Before it is noted as tried: what is taken back while this is asked was not sent, and is not.
    if (!this.#taken) await this.asking.check?.();
    signal.throwIfAborted();
    await this.asking.trying();
    signal.throwIfAborted();
    const whole = await this.tools.api.turn(this.asking.body, this.asking.key, signal, (event) => {
      this.#see(event);
      this.tools.changed();
    });
    if (!whole) throw new Failure("The connection to the server was lost.", "network");
    // Refused after the stream began: nothing was stored.
    if (!this.#taken && this.#failure !== null) throw this.#failure;
    this.#forget();
    // A message that is taken and deleted since is not in the stream any more.
    this.#take(null);
  }

  #see(event: WireEvent): void {
    const item = itemOf(event.item);
    // A message is taken when it comes back as an item; what is no message, with the first event.
    if (this.asking.begins !== undefined) this.#take(null);
    if (event.type === "error" && !this.#taken) {
      this.#failure = new Failure(errorOf(event), event.allow_retry === true ? "unavailable" : "refused");
      return;
    }
    if (!this.#begun) this.asking.begins?.();
    this.#begun = true;
    const isMessage = item?.type === "user_message";
    if (item !== null && !isMessage) {
      this.#forget();
      this.#shown.add(item.id);
    }
    if (isMessage && event.type === "thread.item.done") this.#take(item.id);
    this.conversation.apply(event, this.tools.env.now());
  }

  #take(itemId: string | null): void {
    if (this.#taken) return;
    this.#taken = true;
    this.asking.taken(itemId);
  }

  /** Another attempt may have begun its answer anew: what the one before showed is not stored. */
  #forget(): void {
    for (const id of this.#earlier) if (!this.#shown.has(id)) this.conversation.transcript.remove(id);
    this.#earlier.clear();
  }
}
