import type { Environment } from "../environment";

/**
 * Of all tabs of this browser with the same name, one leads: from when `led` resolves until it closes.
 * The others wait in line. It is a lock that is held, so that it passes on by itself when a tab dies.
 */
export class Lead {
  readonly led: Promise<void>;
  #leave = () => {};

  constructor(env: Environment, name: string) {
    const { locks } = env;
    if (locks === null) {
      this.led = Promise.resolve();
      return;
    }
    const waiting = new AbortController();
    let begin = () => {};
    this.led = new Promise((resolve) => {
      begin = resolve;
    });
    const held = new Promise<void>((resolve) => {
      this.#leave = () => {
        waiting.abort();
        resolve();
      };
    });
    const lead = () => {
      begin();
      return held;
    };
    // Rejected when it is left before it began, and where locks are forbidden: there every tab leads.
    locks.request(name, { signal: waiting.signal }, lead).catch(() => {
      if (!waiting.signal.aborted) begin();
    });
  }

  leave(): void {
    this.#leave();
  }
}
