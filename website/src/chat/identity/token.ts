import { Failure } from "../protocol/failure";
import type { Credentials } from "../protocol/http";
import { fieldsOf, wordsOf } from "../protocol/wire";

/** A bearer token. */
export interface Token {
  readonly text: string;
  /** Whose it is. */
  readonly subject: string;
  readonly seconds: number;
}

/** Renewed this long before its end, or after half of its life when that is shorter. */
const EARLY_SECONDS = 60;

/** Reads a JWT for when to renew it; whether it is good is the server's to say. */
export function tokenOf(text: string): Token {
  try {
    const payload = text.split(".")[1] ?? "";
    const bytes = Uint8Array.from(atob(payload.replaceAll("-", "+").replaceAll("_", "/")), (c) =>
      c.charCodeAt(0),
    );
    const claims = fieldsOf(JSON.parse(new TextDecoder().decode(bytes)));
    const subject = wordsOf(claims.sub);
    const seconds = Number(claims.exp) - Number(claims.iat);
    if (subject !== null && seconds > 0) return { text, subject, seconds };
  } catch {
    // Said below.
  }
  throw new Failure("The sign-in server's answer cannot be understood.", "unavailable");
}

/** Sends the token of one account, a new one when it ends. */
export class Bearer implements Credentials {
  #token: Promise<Token> | null = null;
  #renewAt = 0;

  /** `strayed` is called when the browser is not signed in as this account any more. */
  constructor(
    private readonly subject: string,
    private readonly newToken: () => Promise<Token>,
    private readonly now: () => number,
    private readonly strayed: () => void,
  ) {}

  async headers(): Promise<Record<string, string>> {
    return { Authorization: `Bearer ${(await this.#current()).text}` };
  }

  refused(): boolean {
    this.#token = null;
    return true;
  }

  answered(): void {}

  #current(): Promise<Token> {
    if (this.#token !== null && this.now() < this.#renewAt) return this.#token;
    const token = this.#fetch();
    this.#token = token;
    // While it is fetched nobody else fetches one; a failure is not kept.
    this.#renewAt = Number.POSITIVE_INFINITY;
    token.then(
      ({ seconds }) => {
        this.#renewAt = this.now() + Math.max(seconds / 2, seconds - EARLY_SECONDS) * 1000;
      },
      () => {
        if (this.#token === token) this.#token = null;
      },
    );
    return token;
  }

  async #fetch(): Promise<Token> {
    try {
      const token = await this.newToken();
      if (token.subject === this.subject) return token;
    } catch (error) {
      if (!(error instanceof Failure && error.kind === "unauthorized")) throw error;
    }
    this.strayed();
    throw new Failure("You are not signed in any more. Please sign in again.", "unauthorized");
  }
}
