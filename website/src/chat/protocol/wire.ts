/** What the server sends, as far as it is relied on. Anything may be missing, new or of another shape. */

import { Failure } from "./failure";

export type Fields = Readonly<Record<string, unknown>>;

export interface WireItem extends Fields {
  readonly id: string;
  readonly type: string;
}

export interface WireThread extends Fields {
  readonly id: string;
}

export interface WireEvent extends Fields {
  readonly type: string;
}

export interface WirePage<Row> {
  readonly data: readonly Row[];
  readonly has_more: boolean;
  readonly after: string | null;
}

/** A row of GET /chat/threads. */
export interface WireSummary extends WireThread {
  readonly title: string | null;
  readonly status: Fields;
  readonly created_at: string;
  readonly last_message_at: string | null;
  readonly preview: string | null;
}

export interface WirePolicy {
  readonly anonymous: "memory" | "persist" | "deny";
  readonly attachments: boolean;
  readonly max_message_bytes: number;
  readonly demo_users: readonly string[];
  readonly now: string;
}

export function fieldsOf(value: unknown): Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : {};
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** Null for what is no text, or an empty one. */
export function wordsOf(value: unknown): string | null {
  return typeof value === "string" && value !== "" ? value : null;
}

export function itemOf(value: unknown): WireItem | null {
  const fields = fieldsOf(value);
  return typeof fields.id === "string" && typeof fields.type === "string" ? (fields as WireItem) : null;
}

export function threadOf(value: unknown): WireThread | null {
  const fields = fieldsOf(value);
  return typeof fields.id === "string" ? (fields as WireThread) : null;
}

export function eventOf(data: string): WireEvent | null {
  try {
    const fields = fieldsOf(JSON.parse(data));
    return typeof fields.type === "string" ? (fields as WireEvent) : null;
  } catch {
    return null;
  }
}

export function pageOf<Row>(value: unknown, rowOf: (row: unknown) => Row | null): WirePage<Row> {
  const page = fieldsOf(value);
  // Nothing is taken to be empty because something else answered in the server's place.
  if (!Array.isArray(page.data))
    throw new Failure("The server's answer cannot be understood.", "unavailable");
  const data = listOf(page.data)
    .map(rowOf)
    .filter((row) => row !== null);
  return { data, has_more: page.has_more === true, after: wordsOf(page.after) };
}
