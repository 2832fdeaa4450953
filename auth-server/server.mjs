/** The process: settings, tables, a socket, and an orderly end. */

import { createServer } from "node:http";
import { toNodeHandler } from "better-auth/node";
import pg from "pg";
import { createAuth } from "./auth.mjs";
import { readSettings, SettingsError } from "./settings.mjs";

const MAX_BODY_BYTES = 64 * 1024;
const PATIENCE_MS = 5_000; // For requests in progress when the server is told to stop.

/**
 * @param {import("node:http").RequestListener} auth
 * @returns {import("node:http").RequestListener}
 */
function routes(auth) {
  return (request, response) => {
    const { pathname } = new URL(request.url ?? "/", "http://localhost");
    if (pathname === "/healthz") answer(response, 200, { status: "ok" });
    else if (!pathname.startsWith("/api/auth/")) refuse(response, 404, "not_found", "There is nothing here.");
    else if (isTooLong(request)) refuse(response, 413, "too_large", "The request is too long, or of unknown length.");
    else auth(request, response);
  };
}

/**
 * A body has to say how long it is, so that nothing has to be read to refuse it.
 * @param {import("node:http").IncomingMessage} request
 */
function isTooLong({ headers }) {
  return headers["transfer-encoding"] !== undefined || Number(headers["content-length"] ?? 0) > MAX_BODY_BYTES;
}

/** @param {import("node:http").ServerResponse} response @param {number} status @param {string} code @param {string} message */
function refuse(response, status, code, message) {
  response.setHeader("Connection", "close"); // A body that nobody read must not be taken for the next request.
  answer(response, status, { error: { code, message } });
}

/** @param {import("node:http").ServerResponse} response @param {number} status @param {object} body */
function answer(response, status, body) {
  response.writeHead(status, { "Content-Type": "application/json" }).end(JSON.stringify(body));
}

/** @param {import("./settings.mjs").Settings} settings */
async function serve(settings) {
  const pool = new pg.Pool({ connectionString: settings.databaseUrl, max: 5, connectionTimeoutMillis: 10_000 });
  // Without a listener a lost connection would end the process; the pool makes a new one by itself.
  pool.on("error", (error) => console.error(`auth-server lost a database connection: ${error.message}`));
  const auth = await createAuth(settings, pool);
  const server = createServer(routes(toNodeHandler(auth)));
  await new Promise((resolve, reject) => {
    server.once("error", reject).listen(settings.port, settings.host, () => resolve(undefined));
  });
  endWith(settings, async () => {
    setTimeout(() => server.closeAllConnections(), PATIENCE_MS).unref();
    await new Promise((resolve) => server.close(resolve));
    await pool.end();
  });
  const { port } = /** @type {import("node:net").AddressInfo} */ (server.address());
  console.log(`auth-server listens on http://${settings.host}:${port}`);
}

/**
 * Stop once: when told to, or with the process that started this one, however that ended.
 * @param {import("./settings.mjs").Settings} settings @param {() => Promise<void>} stop
 */
function endWith(settings, stop) {
  let isEnding = false;
  const end = () => {
    if (isEnding) return;
    isEnding = true;
    stop().then(() => process.exit(0), (error) => fail("did not stop in order", error));
  };
  process.on("SIGTERM", end).on("SIGINT", end);
  if (settings.exitWithStdin) process.stdin.on("end", end).on("error", end).resume();
}

/** @param {string} what @param {unknown} error */
function fail(what, error) {
  const isError = error instanceof Error;
  // A refused connection to a name with several addresses has a code and no message.
  const reason = isError ? error.message || String(Reflect.get(error, "code")) : String(error);
  console.error(`auth-server ${what}: ${reason}`);
  if (isError && !(error instanceof SettingsError)) console.error(error.stack);
  process.exit(1);
}

try {
  await serve(readSettings(process.env));
} catch (error) {
  fail("cannot start", error);
}
