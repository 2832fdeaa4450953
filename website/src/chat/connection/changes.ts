import type { Environment } from "../environment";
import type { Pauses } from "../pause";
import type { Api } from "../protocol/api";
import { Failure } from "../protocol/failure";
import { fieldsOf, wordsOf } from "../protocol/wire";
import type { ServerConnection } from "./connection";

/** Something that happened to a conversation of this person's, on whatever device. */
export interface Change {
  readonly kind: string;
  readonly threadId: string | null;
  readonly itemId: string | null;
  /** The server's id of it; null where there is none. */
  readonly id: string | null;
}

const BEGIN_MS = 8_000;
const COME_BACK_MS = 1_000;
const POLL_MS = 4_000;
/** A stream that ends sooner was none: a page of another server, or of a gateway that lets none through. */
const SHORT_MS = 5_000;
const BUFFERED_MS = 60_000;

/**
 * Hears of changes by a stream that is opened anew whenever it ends. `began` is called when it begins for the
 * first time: something may have happened since the first look at what there is. While it cannot be had,
 * `missed` is called every few seconds instead; and once it is back, unless the server sends what came in between.
 */
export class Changes {
  #lastId: string | null = null;
  #begun = false;
  /** How many in a row ended as soon as they began. */
  #short = 0;

  constructor(
    private readonly env: Environment,
    private readonly api: Api,
    private readonly connection: ServerConnection,
    private readonly pauses: Pauses,
    private readonly happened: (change: Change) => void,
    private readonly began: () => void,
    private readonly missed: () => void,
  ) {}

  /** Notes what another tab has heard: this one goes on behind it. */
  heard(change: Change): void {
    this.#lastId = change.id ?? this.#lastId;
  }

  async run(signal: AbortSignal): Promise<void> {
    let notBefore = 0;
    while (!signal.aborted) {
      await this.connection.online(signal);
      if (signal.aborted) return;
      const pause = this.env.now() < notBefore ? POLL_MS : await this.#listen(signal);
      if (signal.aborted) return;
      if (pause >= POLL_MS) {
        if (pause > POLL_MS) notBefore = this.env.now() + pause;
        this.missed();
      }
      await this.pauses.wait(Math.min(pause, POLL_MS), signal);
    }
  }

  /** Listens until the stream ends. Returns how long to leave it be; from POLL_MS on it did not work. */
  async #listen(signal: AbortSignal): Promise<number> {
    const leave = new AbortController();
    const pass = () => leave.abort();
    signal.addEventListener("abort", pass);
    let begun = false;
    const opened = this.env.now();
    // A proxy that holds back what it passes on would have a stream that never begins.
    const callOff = this.env.after(BEGIN_MS, () => begun || leave.abort());
    const alive = () => {
      if (!begun && this.#lastId === null) {
        if (this.#begun) this.missed();
        else this.began();
      }
      begun = this.#begun = true;
    };
    try {
      await this.api.changes(this.#lastId, leave.signal, alive, (event) => {
        const data = fieldsOf(parsed(event.data));
        this.#lastId = event.id ?? this.#lastId;
        const [threadId, itemId] = [wordsOf(data.thread_id), wordsOf(data.item_id)];
        this.happened({ kind: event.event ?? "", threadId, itemId, id: event.id ?? null });
      });
      return this.#comeBack(opened);
    } catch (error) {
      if (!begun && leave.signal.aborted) return BUFFERED_MS;
      if (begun) return this.#comeBack(opened);
      return Math.max(POLL_MS, (error instanceof Failure && error.retryAfterMs) || 0);
    } finally {
      callOff();
      signal.removeEventListener("abort", pass);
    }
  }

  #comeBack(opened: number): number {
    this.#short = this.env.now() - opened < SHORT_MS ? this.#short + 1 : 0;
    const times = 2 ** Math.max(0, this.#short - 1);
    return Math.min(BUFFERED_MS, COME_BACK_MS * (0.5 + this.env.random()) * times);
  }
}

function parsed(data: string): unknown {
  try {
    return JSON.parse(data);
  } catch {
    return null;
  }
}
