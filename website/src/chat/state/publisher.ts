import type { Environment } from "../environment";

const FRAME_MS = 16;

/** Holds what is shown. However often it changes, it is made anew and told at most once a frame. */
export class Publisher<State> {
  #listeners = new Set<() => void>();
  #callOff: (() => void) | null = null;
  #told = Number.NEGATIVE_INFINITY;
  #state: State;
  #closed = false;

  constructor(
    private readonly env: Environment,
    private readonly make: (old: State | null) => State,
  ) {
    this.#state = make(null);
  }

  get state(): State {
    return this.#state;
  }

  subscribe(listener: () => void): () => void {
    // Each subscription is its own, also when the same function subscribes twice.
    const call = () => listener();
    this.#listeners.add(call);
    return () => this.#listeners.delete(call);
  }

  /** Something changed. */
  readonly changed = (): void => {
    if (this.#callOff !== null || this.#closed) return;
    const wait = Math.max(0, this.#told + FRAME_MS - this.env.now());
    this.#callOff = this.env.after(wait, () => this.tell());
  };

  /** Tells now: for what a person did. */
  tell(): void {
    this.#callOff?.();
    this.#callOff = null;
    if (this.#closed) return;
    this.#told = this.env.now();
    const next = this.make(this.#state);
    if (next === this.#state) return;
    this.#state = next;
    for (const listener of [...this.#listeners]) listener();
  }

  close(): void {
    this.#callOff?.();
    this.#closed = true;
    this.#listeners.clear();
  }
}
