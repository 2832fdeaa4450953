/** The demo's users, who have no passwords. */

import type { Http } from "../protocol/http";
import { fieldsOf, textOf } from "../protocol/wire";
import { type Token, tokenOf } from "./token";

export async function demoToken(http: Http, user: string): Promise<Token> {
  const response = await http.send("/demo/sign-in", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ user }),
  });
  return tokenOf(textOf(fieldsOf(await response.json()).token));
}

export function nameOfDemoUser(user: string): string {
  return user.charAt(0).toUpperCase() + user.slice(1);
}
