import type { Environment } from "./environment";

/** Waits that can be cut short. */
export class Pauses {
  readonly #waiting = new Set<() => void>();

  constructor(private readonly env: Environment) {}

  /** Resolves after a while, or when the signal aborts, or when all are woken. */
  wait(milliseconds: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#waiting.delete(done);
        signal.removeEventListener("abort", done);
        callOff();
        resolve();
      };
      const callOff = this.env.after(milliseconds, done);
      this.#waiting.add(done);
      signal.addEventListener("abort", done);
      if (signal.aborted) done();
    });
  }

  wake(): void {
    for (const done of [...this.#waiting]) done();
  }
}
