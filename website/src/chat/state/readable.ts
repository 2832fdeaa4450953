/** A readable form of items without a picture of their own. */

import type { OtherEntry } from "../contract";
import { type Fields, fieldsOf, listOf, textOf, type WireItem, wordsOf } from "../protocol/wire";
import { pictureUrl } from "./urls";

export type Readable = Pick<OtherEntry, "label" | "lines" | "image">;

const MOST_LINES = 40;

/** Null for what nobody is meant to see. */
export function readable(item: WireItem): Readable | null {
  switch (item.type) {
    case "end_of_turn":
    case "hidden_context_item":
    case "sdk_hidden_context":
      return null;
    case "widget":
      return plain("Widget", wordsOf(item.copy_text)?.split("\n") ?? wordsIn(item.widget));
    case "generated_image":
      return { label: "Image", lines: [], image: pictureUrl(fieldsOf(item.image).url) };
    case "structured_input":
      return plain("Question", listOf(item.inputs).flatMap(linesOfInput));
    case "workflow":
      return workflow(fieldsOf(item.workflow));
    case "task":
      return plain("Task", linesOfTask(fieldsOf(item.task)));
    case "client_tool_call":
      return plain("Tool", [`${textOf(item.name)}: ${item.status === "pending" ? "waiting" : "done"}`]);
    default:
      return plain(
        nameOf(item.type),
        wordsIn({ ...item, id: null, thread_id: null, created_at: null, type: null }),
      );
  }
}

function plain(label: string, lines: readonly string[]): Readable {
  return { label, lines: lines.filter((line) => line.trim() !== "").slice(0, MOST_LINES), image: null };
}

function workflow(fields: Fields): Readable {
  const summary = fieldsOf(fields.summary);
  const seconds = typeof summary.duration === "number" ? `Took ${Math.round(summary.duration)} s` : "";
  const label = fields.type === "reasoning" ? "Reasoning" : "Workflow";
  const tasks = listOf(fields.tasks).flatMap((task) => linesOfTask(fieldsOf(task)));
  return plain(label, [textOf(summary.title) || seconds, ...tasks]);
}

function linesOfTask(task: Fields): string[] {
  const sources = listOf(task.sources).map((source) => textOf(fieldsOf(source).title));
  return [
    textOf(task.title) || textOf(task.title_query),
    textOf(task.content),
    ...listOf(task.queries).map(textOf),
    ...sources,
  ];
}

function linesOfInput(value: unknown): string[] {
  const input = fieldsOf(value);
  const answer = fieldsOf(input.answer);
  const given = answer.skipped === true ? "Skipped" : listOf(answer.values).map(textOf).join(", ");
  const options = listOf(input.options).map((option) => `· ${textOf(fieldsOf(option).value)}`);
  return [textOf(input.question), textOf(input.description), ...options, given && `Answer: ${given}`];
}

/** Names of fields whose texts are for people, whatever they are part of. */
const SPOKEN = new Set([
  "value",
  "text",
  "title",
  "label",
  "content",
  "copy_text",
  "question",
  "description",
  "alt",
]);

function wordsIn(tree: unknown): string[] {
  const found: string[] = [];
  const look = (value: unknown, name: string): void => {
    if (found.length >= MOST_LINES) return;
    if (typeof value === "string") {
      if (SPOKEN.has(name)) found.push(...value.split("\n"));
    } else if (Array.isArray(value)) for (const part of value) look(part, name);
    else for (const [key, part] of Object.entries(fieldsOf(value))) look(part, key);
  };
  look(tree, "");
  return found;
}

function nameOf(type: string): string {
  const words = type.replaceAll(/[_.]+/g, " ").trim();
  return words.charAt(0).toUpperCase() + words.slice(1) || "Item";
}
