// @ts-check
/** Accounts with e-mail and password: the sign-in server's side of the page. */

import { Failure, reach } from "./api.js";

/** @typedef {{id: string, email: string}} Account */

/** What the sign-in server's codes mean to the person in front of the page. @type {Record<string, string>} */
const MEANINGS = {
  INVALID_EMAIL: "This is not an e-mail address.",
  INVALID_EMAIL_OR_PASSWORD: "The e-mail address or the password is not right.",
  INVALID_ORIGIN: "The sign-in server does not know this address of the page. Open the page at 127.0.0.1, please.",
  PASSWORD_TOO_LONG: "This password is too long.",
  PASSWORD_TOO_SHORT: "The password needs 8 characters or more.",
  USER_ALREADY_EXISTS_USE_ANOTHER_EMAIL: "There is an account with this e-mail address already. Sign in instead.",
};

/** Who is signed in in this browser; `undefined` when this server has no accounts. @returns {Promise<Account | null | undefined>} */
export async function whoIsSignedIn() {
  const response = await reach("/api/auth/get-session", {});
  if (response.status === 404) return undefined;
  if (!response.ok) throw await failureOf(response);
  return (await response.json())?.user ?? null;
}

/** @param {string} email @param {string} password @returns {Promise<Account>} */
export function signIn(email, password) {
  return enter("sign-in", { email, password });
}

/** Make an account and be signed in to it. @param {string} email @param {string} password @returns {Promise<Account>} */
export function signUp(email, password) {
  return enter("sign-up", { email, password, name: email.split("@")[0] || email });
}

/** From now on the browser gets no more tokens; the last one ends by itself. */
export async function signOut() {
  await post("sign-out", {});
}

/** A token for the chat, and how long it is good for. @returns {Promise<{token: string, seconds: number, userId: string}>} */
export async function token() {
  const response = await reach("/api/auth/token", {});
  if (response.status === 401) throw new Failure("Your sign-in has ended. Sign out and in again, please.", false);
  if (!response.ok) throw await failureOf(response);
  const { token } = await response.json();
  const claims = JSON.parse(atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")));
  return { token, seconds: claims.exp - claims.iat, userId: claims.sub };
}

/** @param {"sign-in" | "sign-up"} way @param {object} body @returns {Promise<Account>} */
async function enter(way, body) {
  return (await (await post(`${way}/email`, body)).json()).user;
}

/** @param {string} path @param {object} body */
async function post(path, body) {
  const response = await reach(`/api/auth/${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw await failureOf(response);
  return response;
}

/** @param {Response} response */
async function failureOf(response) {
  const body = await response.json().catch(() => null);
  const message = body?.error?.message ?? MEANINGS[body?.code] ?? body?.message;
  return new Failure(message ?? `The sign-in server answered with an error (${response.status}).`, true);
}
