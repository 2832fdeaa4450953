import type { Connection as ConnectionState } from "../contract";
import type { Environment } from "../environment";
import { delayOf } from "./backoff";

const PROBE_MS = 5_000;
const LONGEST_DELAY_MS = 15_000;

/**
 * Whether the server can be reached, found out by asking it. What the browser says of the network is a
 * reason to ask, and names what may be wrong when nobody answered; it is never an answer.
 */
export class ServerConnection {
  state: ConnectionState = { kind: "online" };
  #failures = 0;
  #probing: Promise<void> | null = null;
  #callOff = () => {};
  #closed = false;
  readonly #waiting = new Set<() => void>();
  readonly #unhint: () => void;

  constructor(
    private readonly env: Environment,
    private readonly base: string,
    private readonly changed: () => void,
  ) {
    this.#unhint = env.hints(() => void this.probe());
  }

  /** Told by each request how it went. */
  readonly heard = (how: "answer" | "network" | "unavailable"): void => {
    if (how !== "answer") void this.probe();
    else if (this.state.kind !== "server-down") this.#now({ kind: "online" });
  };

  /** Asks now. */
  probe(): Promise<void> {
    this.#probing ??= this.#probe().finally(() => {
      this.#probing = null;
    });
    return this.#probing;
  }

  /** Resolves when the server can be reached, at once when it can. */
  async online(signal: AbortSignal): Promise<void> {
    while (this.state.kind !== "online" && !signal.aborted) {
      await new Promise<void>((resolve) => {
        const done = () => {
          signal.removeEventListener("abort", done);
          this.#waiting.delete(done);
          resolve();
        };
        this.#waiting.add(done);
        signal.addEventListener("abort", done);
      });
    }
  }

  close(): void {
    this.#closed = true;
    this.#callOff();
    this.#unhint();
  }

  async #probe(): Promise<void> {
    this.#callOff();
    const health = await this.#ask("/healthz");
    if (health === null) return this.#notHeard();
    // An answer without the server's own words is that of a proxy before it.
    const ready = health.ok ? await this.#ask("/readyz") : health;
    if (ready === null) return this.#notHeard();
    if (!ready.ok) return this.#notNow("server-down");
    this.#now({ kind: "online" });
  }

  async #ask(path: string): Promise<Response | null> {
    const limit = new AbortController();
    const done = this.env.after(PROBE_MS, () => limit.abort());
    try {
      return await this.env.fetch(this.base + path, { signal: limit.signal, cache: "no-store" });
    } catch {
      return null;
    } finally {
      done();
    }
  }

  #notHeard(): void {
    this.#notNow(this.env.hasNetwork() ? "unreachable" : "offline");
  }

  #notNow(kind: Exclude<ConnectionState["kind"], "online">): void {
    if (this.#closed) return;
    const delay = delayOf(this.#failures++, LONGEST_DELAY_MS, this.env.random());
    this.#callOff = this.env.after(delay, () => void this.probe());
    this.#now({ kind, nextTryAt: this.env.now() + delay });
  }

  #now(state: ConnectionState): void {
    if (this.#closed || (state.kind === "online" && this.state.kind === "online")) return;
    this.state = state;
    if (state.kind === "online") {
      this.#failures = 0;
      this.#callOff();
      for (const resume of [...this.#waiting]) resume();
    }
    this.changed();
  }
}
