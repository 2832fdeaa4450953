import type { Problem } from "../contract";
import type { WirePage, WireSummary } from "../protocol/wire";

/** The list of conversations as the server has it, the last active first, as far as it was loaded. */
export class Threads {
  rows: readonly WireSummary[] = [];
  hasMore = false;
  loading = false;
  loaded = false;
  problem: Problem | null = null;
  #after: string | null = null;

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
      page.has_more && last !== undefined
        ? this.rows.filter((row) => !ids.has(row.id) && timeOf(row) <= timeOf(last))
        : [];
    this.rows = [...page.data, ...rest];
    if (rest.length === 0) {
      this.hasMore = page.has_more;
      this.#after = page.after;
    }
    this.loaded = true;
  }

  append(page: WirePage<WireSummary>): void {
    const ids = new Set(this.rows.map((row) => row.id));
    this.rows = [...this.rows, ...page.data.filter((row) => !ids.has(row.id))];
    this.hasMore = page.has_more;
    this.#after = page.after;
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
