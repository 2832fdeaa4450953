import type { Problem } from "../contract";

/** A message that the server has not confirmed yet, or the wish to have one answered anew that it has not fulfilled. */
export interface Unsent {
  /** The order in which messages were written down, over all tabs. */
  readonly seq: number;
  /** Its `Idempotency-Key`, for good. */
  readonly key: string;
  readonly owner: string;
  /** The conversation: the server's id, or the name that one has here until the server knows it. */
  readonly thread: string;
  readonly text: string;
  /** The message that is to be answered anew; then there is no text. */
  readonly again?: string;
  readonly created: number;
  /** The body that goes with the key, from the first attempt on; null while nothing was sent. */
  readonly body: string | null;
  readonly state: "waiting" | "sending" | "refused";
  readonly nextTryAt: number | null;
  readonly problem: Problem | null;
}

export type Draft = Omit<Unsent, "seq">;

const LOCAL = "new_";

/** A name for a conversation that the server does not know yet. */
export function localThread(id: string): string {
  return LOCAL + id;
}

export function isLocal(thread: string): boolean {
  return thread.startsWith(LOCAL);
}

/** Tells whether it may have arrived: then it cannot be taken back, nor sent under another key. */
export function mayHaveArrived(message: Unsent): boolean {
  return message.body !== null && message.state !== "refused";
}
