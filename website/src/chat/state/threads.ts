import type { Problem } from "../contract";
import type { WirePage, WireSummary } from "../protocol/wire";

const PREVIEW_LENGTH = 140;

/** How a message begins, in one line, as the server shows it. */
export function previewOf(text: string): string {
  return text
    .slice(0, 4 * PREVIEW_LENGTH)
    .replaceAll(/\s+/g, " ")
    .trim()
    .slice(0, PREVIEW_LENGTH);
}

/** The list of conversations as the server has it, the last active first, as far as it was loaded. */
export class Threads {
  rows: readonly WireSummary[] = [];
  hasMore = false;
  loading = false;
  loaded = false;
  problem: Problem | null = null;
  #after: string | null = null;
  #lost = false;

  get after(): string | null {
    return this.#after;
  }

  row(id: string): WireSummary | null {
    return this.rows.find((row) => row.id === id) ?? null;
  }

  /** Puts the first page in the place of what was known of it; `timeOf` says how active a row was. */
  refresh(page: WirePage<WireSummary>, timeOf: (row: WireSummary) => number): void {
    const last = page.data.at(-1);
    const ids = new Set(page.data.map((row) => row.id));
    const rest =
      page.has_more && last !== undefined && !this.#lost
        ? this.rows.filter((row) => !ids.has(row.id) && timeOf(row) <= timeOf(last))
        : [];
    this.rows = [...page.data, ...rest];
    if (rest.length === 0) {
      this.hasMore = page.has_more;
      this.#after = page.after;
    }
    this.#lost = false;
    this.loaded = true;
  }

  /** The place to go on from is not there any more: the next first page is all there is. */
  lose(): void {
    this.#lost = true;
  }

  append(page: WirePage<WireSummary>): void {
    const ids = new Set(this.rows.map((row) => row.id));
    this.rows = [...this.rows, ...page.data.filter((row) => !ids.has(row.id))];
    this.hasMore = page.has_more;
    this.#after = page.after;
  }

  /** Puts a conversation at the top, with what was said in it just now. */
  touch(id: string, { title, preview, at }: { title: string | null; preview: string; at: string }): void {
    const old = this.row(id) ?? { id, title, status: { type: "active" }, created_at: at };
    const row = { ...old, last_message_at: at, preview };
    this.rows = [row, ...this.rows.filter((other) => other.id !== id)];
  }

  change(id: string, change: Partial<WireSummary>): void {
    this.rows = this.rows.map((row) => (row.id === id ? { ...row, ...change } : row));
  }

  remove(id: string): void {
    this.rows = this.rows.filter((row) => row.id !== id);
    // The cursor is the last row's id, and one that is deleted is no place to go on from.
    if (this.#after === id) this.#after = this.rows.at(-1)?.id ?? null;
  }
}
