/**
 * How many bytes, as gzip has them, the chat costs a page: `npm run sizes`, after `npm run build`.
 *
 * The site is built once more without the chat. What a page loads at once beyond that is the price of the
 * bubble; what there is to load at all beyond that is, at most, the price of the opened chat.
 */

import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const WEBSITE = fileURLToPath(new URL("..", import.meta.url));
const BOUNDS = { "the bubble, on each page": 5_000, "the opened chat": 180_000 };

/** @param {string} file */
const packed = (file) => gzipSync(readFileSync(file)).length;

/** @param {number[]} numbers */
const sum = (numbers) => numbers.reduce((all, one) => all + one, 0);

/** What the first page asks for by itself. @param {string} site */
function atOnce(site) {
  const page = readFileSync(join(site, "index.html"), "utf8");
  const files = [...page.matchAll(/(?:src|href)="?(\/assets\/[^\s">]+\.(?:js|css))/g)].map(
    (match) => match[1],
  );
  return sum([...new Set(files)].map((file) => packed(join(site, file ?? ""))));
}

/** All scripts and styles that there are. @param {string} site */
function inAll(site) {
  const files = readdirSync(join(site, "assets"), { recursive: true, encoding: "utf8" });
  return sum(
    files.filter((file) => /\.(js|css)$/.test(file)).map((file) => packed(join(site, "assets", file))),
  );
}

const without = mkdtempSync(join(tmpdir(), "site-without-chat-"));
try {
  const build = ["docusaurus", "build", "--out-dir", without];
  // The cache does not know that what stands around each page is another component now.
  const env = { ...process.env, WITHOUT_CHAT: "1", DOCUSAURUS_NO_PERSISTENT_CACHE: "1" };
  execFileSync("npx", build, { cwd: WEBSITE, env, stdio: "pipe" });
  const site = join(WEBSITE, "build");
  const found = [atOnce(site) - atOnce(without), inAll(site) - inAll(without)];
  for (const [index, [name, bound]] of Object.entries(BOUNDS).entries()) {
    const bytes = found[index] ?? 0;
    const tooMany = bytes >= bound;
    console.log(`${name}: ${bytes} bytes gzip, below ${bound}${tooMany ? " NOT" : ""}`);
    if (tooMany) process.exitCode = 1;
  }
} finally {
  rmSync(without, { recursive: true });
}
