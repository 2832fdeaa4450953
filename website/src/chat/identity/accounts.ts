/** Accounts with e-mail and password: the client of a Better Auth server under `/api/auth`. */

import { Failure, type FailureKind } from "../protocol/failure";
import type { Http } from "../protocol/http";
import { fieldsOf, textOf, wordsOf } from "../protocol/wire";
import { type Token, tokenOf } from "./token";

export interface Account {
  readonly id: string;
  readonly name: string;
}

/** What the sign-in server's codes mean to the person in front of the page. */
const MEANINGS: Readonly<Record<string, string>> = {
  INVALID_EMAIL: "This is not an e-mail address.",
  INVALID_EMAIL_OR_PASSWORD: "The e-mail address or the password is not right.",
  INVALID_ORIGIN: "The sign-in server does not know the address of this page.",
  PASSWORD_TOO_LONG: "This password is too long.",
  PASSWORD_TOO_SHORT: "The password needs 8 characters or more.",
  USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL:
    "There is an account with this e-mail address already. Sign in instead.",
};

export class Accounts {
  constructor(private readonly http: Http) {}

  /** Who is signed in in this browser; null for nobody, undefined where there are no accounts. */
  async whoIsSignedIn(): Promise<Account | null | undefined> {
    try {
      const answer = await this.#json("get-session");
      return answer.user ? accountOf(answer.user) : null;
    } catch (error) {
      if (error instanceof Failure && error.kind === "gone") return undefined;
      throw error;
    }
  }

  async signIn(email: string, password: string): Promise<Account> {
    return accountOf((await this.#json("sign-in/email", { email, password })).user);
  }

  async signUp(email: string, password: string): Promise<Account> {
    const name = email.split("@")[0] || email;
    return accountOf((await this.#json("sign-up/email", { email, password, name })).user);
  }

  /** From now on the browser gets no more tokens; the last one ends by itself. */
  async signOut(): Promise<void> {
    await this.#json("sign-out", {});
  }

  async token(): Promise<Token> {
    return tokenOf(textOf((await this.#json("token")).token));
  }

  async #json(path: string, body?: object) {
    const init: RequestInit =
      body === undefined
        ? {}
        : { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) };
    return fieldsOf(await (await this.http.send(`/api/auth/${path}`, init, meaningOf)).json());
  }
}

/** Better Auth's own failures are `{code, message}`. */
function meaningOf(body: unknown, kind: FailureKind): Failure | null {
  const { code, message } = fieldsOf(body);
  const words = MEANINGS[textOf(code)] ?? wordsOf(message);
  return words === null ? null : new Failure(words, kind, null, wordsOf(code));
}

function accountOf(value: unknown): Account {
  const user = fieldsOf(value);
  const id = wordsOf(user.id);
  if (id === null) throw new Failure("The sign-in server's answer cannot be understood.", "unavailable");
  return { id, name: wordsOf(user.email) ?? wordsOf(user.name) ?? id };
}
