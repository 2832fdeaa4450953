import type { Environment } from "../environment";
import type { Credentials } from "../protocol/http";
import type { Policy } from "./policy";

const HEADER = "X-Visitor-Id";

/**
 * Under what name this browser keeps what a visitor has not sent yet. It lives exactly as long as the
 * visitor does on the server: for the browser session (a cookie without an end), or for long. So whoever
 * opens this browser next does not see what somebody before wrote as a visitor.
 */
export class VisitorName {
  #here: string | null = null;

  constructor(
    private readonly env: Environment,
    private readonly storageKey: string,
  ) {}

  current(): string {
    // Looked at each time: another tab may have begun anew. In this page only what no browser keeps.
    return this.#kept() ?? this.#session() ?? this.#here ?? this.#begin();
  }

  /** Has the name live for as long as this server keeps visitors. */
  follow(policy: Policy): void {
    if (policy.anonymous === "persist") this.#keep(this.current());
    else this.env.storage?.removeItem(this.storageKey);
  }

  /** From now on this browser is somebody else without an account. */
  renew(): void {
    const kept = this.#kept() !== null;
    const name = this.#begin();
    if (kept) this.#keep(name);
  }

  #begin(): string {
    const name = this.env.newId();
    this.#here = name;
    this.env.cookies?.write(COOKIE, name);
    return name;
  }

  #session(): string | null {
    return this.env.cookies?.read(COOKIE) ?? null;
  }

  #kept(): string | null {
    return this.env.storage?.getItem(this.storageKey) ?? null;
  }

  #keep(name: string): void {
    try {
      this.env.storage?.setItem(this.storageKey, name);
    } catch {
      // Full: then it lives for the session.
    }
  }
}

const COOKIE = "chatkit_neon_browser";

/** Sends the visitor's id where browsers keep no cookie: when the server is on another site. */
export class VisitorId implements Credentials {
  constructor(
    private readonly env: Environment,
    private readonly storageKey: string,
    private readonly elsewhere: boolean,
  ) {}

  async headers(): Promise<Record<string, string>> {
    const id = this.elsewhere ? this.env.storage?.getItem(this.storageKey) : null;
    return id ? { [HEADER]: id } : {};
  }

  /** An id that the server does not know any more is left out, to get a new one. */
  refused(): boolean {
    if (!this.elsewhere || !this.env.storage?.getItem(this.storageKey)) return false;
    this.forget();
    return true;
  }

  answered(response: Response): void {
    const id = this.elsewhere ? response.headers.get(HEADER) : null;
    if (id === null) return;
    try {
      this.env.storage?.setItem(this.storageKey, id);
    } catch {
      // Full: the next request begins another visitor. The page says that nothing is kept.
    }
  }

  forget(): void {
    this.env.storage?.removeItem(this.storageKey);
  }
}
