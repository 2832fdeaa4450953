/** Better Auth, as this project uses it: e-mail and password, sessions in cookies, JWTs for the chat. */

import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { jwt } from "better-auth/plugins/jwt";
import { SettingsError } from "./settings.mjs";

/**
 * Return Better Auth on a database, with the tables and columns made that were missing. A JWT says who its
 * bearer is, by user id, and nothing else of them.
 * @param {import("./settings.mjs").Settings} settings @param {import("pg").Pool} pool
 */
export async function createAuth({ url, secret, trustedOrigins, tokenSeconds }, pool) {
  const token = { issuer: url, audience: url, expirationTime: `${tokenSeconds}s`, definePayload: () => ({}) };
  const options = {
    appName: "chatkit-neon",
    baseURL: url,
    secret,
    trustedOrigins,
    database: pool,
    emailAndPassword: { enabled: true },
    plugins: [jwt({ jwt: token, disableSettingJwtHeader: true })],
    telemetry: { enabled: false },
    // Its warnings are the wrong passwords that people type.
    logger: { level: /** @type {const} */ ("error"), disableColors: true },
  };
  // First: Better Auth complains of missing tables when it is made.
  const { runMigrations } = await getMigrations(options);
  await runMigrations();
  const auth = betterAuth(options);
  await sign(auth);
  return auth;
}

/**
 * Sign something, so that there is a key from the start, and one that the secret opens.
 * @param {{api: {signJWT: (call: {body: {payload: {}}}) => Promise<unknown>}}} auth
 */
async function sign({ api }) {
  try {
    await api.signJWT({ body: { payload: {} } });
  } catch (error) {
    if (!(error instanceof Error && error.message.includes("decrypt"))) throw error;
    throw new SettingsError("AUTH_SECRET is not the one that the keys in this database were made with.");
  }
}
