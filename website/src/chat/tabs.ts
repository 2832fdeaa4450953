import type { Change } from "./connection/changes";
import type { Problem } from "./contract";
import type { Channel, Environment } from "./environment";
import type { Confirmation } from "./outbox/outbox";

/** What the tabs of one person tell each other. */
export type TabMessage =
  | { readonly kind: "outbox" }
  | { readonly kind: "retry" }
  | { readonly kind: "confirmed"; readonly confirmation: Confirmation }
  | { readonly kind: "answering"; readonly thread: string }
  | { readonly kind: "unfulfilled"; readonly thread: string; readonly problem: Problem }
  | { readonly kind: "change"; readonly change: Change }
  /** The tab that hears of changes for all has just begun to, or cannot tell what happened. */
  | { readonly kind: "began" | "missed" };

/** The other tabs of this browser that have the same name; nobody where browsers have no channels. */
export class Tabs<Message> {
  #channel: Channel | null;

  constructor(env: Environment, name: string, heard: (message: Message) => void) {
    this.#channel = opened(env, name);
    if (this.#channel !== null) this.#channel.onmessage = (event) => heard(event.data as Message);
  }

  /** Whether they can be told anything. */
  get talk(): boolean {
    return this.#channel !== null;
  }

  /** Nothing happens once it is closed: what was begun before that may still end. */
  tell(message: Message): void {
    this.#channel?.postMessage(message);
  }

  close(): void {
    this.#channel?.close();
    this.#channel = null;
  }
}

function opened(env: Environment, name: string): Channel | null {
  try {
    return env.openChannel?.(name) ?? null;
  } catch {
    // Browsers that are told to store nothing have none.
    return null;
  }
}
