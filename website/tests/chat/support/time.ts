/** A clock that stands still until everything that can happen has happened, and then goes to the next timer. */

interface Timer {
  readonly at: number;
  readonly run: () => void;
}

const TICKS = 25;
const MOST_STEPS = 5_000;

export class VirtualTime {
  now = 1_800_000_000_000;
  readonly #timers = new Set<Timer>();

  after(milliseconds: number, run: () => void): () => void {
    const timer = { at: this.now + milliseconds, run };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Lets everything happen that needs no time. */
  async idle(): Promise<void> {
    for (let tick = 0; tick < TICKS; tick++) await new Promise((resolve) => setImmediate(resolve));
  }

  /** Lets time pass until something holds. */
  async until(what: string, holds: () => boolean): Promise<void> {
    for (let step = 0; step < MOST_STEPS; step++) {
      await this.idle();
      if (holds()) return;
      if (!this.#next(Number.POSITIVE_INFINITY)) break;
    }
    throw new Error(`It never came about: ${what}.`);
  }

  async pass(milliseconds: number): Promise<void> {
    const end = this.now + milliseconds;
    do await this.idle();
    while (this.#next(end));
    this.now = end;
  }

  #next(end: number): boolean {
    const [first] = [...this.#timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at);
    if (first === undefined) return false;
    this.#timers.delete(first);
    this.now = Math.max(this.now, first.at);
    first.run();
    return true;
  }
}
