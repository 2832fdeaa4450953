/** The settings, read once from the environment. */

/**
 * @typedef {object} Settings
 * @property {string} databaseUrl
 * @property {string} url the origin by which browsers reach this server; `iss` and `aud` of its tokens
 * @property {string} secret
 * @property {string[]} trustedOrigins
 * @property {number} tokenSeconds
 * @property {string} host
 * @property {number} port
 * @property {boolean} exitWithStdin
 */

/** A setting that is missing or wrong; the message names it and never shows a secret. */
export class SettingsError extends Error {}

const LOCAL = { HOST: "127.0.0.1", PORT: "3000", AUTH_TOKEN_SECONDS: "900" };

/**
 * Raises SettingsError for the first value that cannot be used.
 * @param {NodeJS.ProcessEnv} environment
 * @returns {Settings}
 */
export function readSettings(environment) {
  /** @type {Record<string, string | undefined>} */
  const values = { ...LOCAL, ...withoutEmpty(environment) };
  return {
    databaseUrl: databaseUrl(required(values, "DATABASE_URL")),
    url: origin("AUTH_URL", required(values, "AUTH_URL")),
    secret: secret(required(values, "AUTH_SECRET")),
    trustedOrigins: list(values.AUTH_TRUSTED_ORIGINS).map((value) => origin("AUTH_TRUSTED_ORIGINS", value)),
    tokenSeconds: whole("AUTH_TOKEN_SECONDS", required(values, "AUTH_TOKEN_SECONDS"), 1, 86_400),
    host: required(values, "HOST"),
    port: whole("PORT", required(values, "PORT"), 0, 65_535),
    exitWithStdin: values.AUTH_EXIT_WITH_STDIN === "1",
  };
}

/** @param {NodeJS.ProcessEnv} environment */
function withoutEmpty(environment) {
  return Object.fromEntries(Object.entries(environment).filter(([, value]) => value !== ""));
}

/** @param {Record<string, string | undefined>} values @param {string} name */
function required(values, name) {
  const value = values[name];
  if (value === undefined) throw new SettingsError(`${name} is not set.`);
  return value;
}

/** @param {string} value */
function databaseUrl(value) {
  if (/^postgres(ql)?:\/\/[^/]/.test(value)) return value;
  throw new SettingsError("DATABASE_URL is not a PostgreSQL URL: postgresql://user:password@host/database");
}

/** @param {string} value */
function secret(value) {
  if (value.length >= 32) return value;
  throw new SettingsError("AUTH_SECRET is too short: 32 random characters or more.");
}

/** @param {string} name @param {string} value */
function origin(name, value) {
  const url = URL.canParse(value) ? new URL(value) : null;
  const isOrigin = url !== null && /^https?:$/.test(url.protocol) && value.replace(/\/$/, "") === url.origin;
  if (isOrigin) return url.origin;
  throw new SettingsError(`${name} is not an origin like https://accounts.example.com: ${value}`);
}

/** @param {string} name @param {string} value @param {number} least @param {number} most */
function whole(name, value, least, most) {
  const number = /^\d+$/.test(value) ? Number(value) : NaN;
  if (number >= least && number <= most) return number;
  throw new SettingsError(`${name} is not a whole number from ${least} to ${most}: ${value}`);
}

/** @param {string} [value] */
function list(value = "") {
  return value.split(",").map((part) => part.trim()).filter((part) => part !== "");
}
