import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { WireEvent, WireItem } from "../../src/chat/protocol/wire";
import { Conversation } from "../../src/chat/state/conversation";
import { entryOf } from "../../src/chat/state/entries";
import { readable } from "../../src/chat/state/readable";
import { Transcript } from "../../src/chat/state/transcript";

const VIEWING = { timeOf: () => 0, opinionOf: () => null };

function message(id: string, text = id): WireItem {
  return { id, type: "assistant_message", content: [{ type: "output_text", text, annotations: [] }] };
}

function ids(transcript: Transcript): string[] {
  return [...transcript.nodes].map((node) => (node.kind === "item" ? node.item.id : node.key));
}

function page(items: readonly WireItem[], has_more = false) {
  return { data: [...items].reverse(), has_more, after: has_more ? (items[0]?.id ?? null) : null };
}

const anything = fc.anything({ maxDepth: 3 });
const id = fc.constantFrom("a", "b", "c", "d");
const item = fc
  .record({
    id,
    type: fc.oneof(
      fc.constantFrom(
        "assistant_message",
        "widget",
        "workflow",
        "task",
        "generated_image",
        "structured_input",
        "client_tool_call",
        "end_of_turn",
        "new_type",
      ),
      fc.string(),
    ),
  })
  .chain((base) =>
    fc
      .record(
        {
          content: anything,
          widget: anything,
          workflow: anything,
          task: anything,
          image: anything,
          inputs: anything,
          attachments: anything,
        },
        { requiredKeys: [] },
      )
      .map((more) => ({ ...more, ...base })),
  );
const update = fc.record(
  {
    type: fc.constantFrom(
      "assistant_message.content_part.added",
      "assistant_message.content_part.text_delta",
      "assistant_message.content_part.annotation_added",
      "assistant_message.content_part.done",
      "widget.streaming_text.value_delta",
      "widget.component.updated",
      "widget.root.updated",
      "workflow.task.added",
      "workflow.task.updated",
      "generated_image.updated",
      "something.new",
    ),
    content_index: fc.oneof(fc.nat(3), anything),
    annotation_index: fc.oneof(fc.nat(3), anything),
    task_index: fc.oneof(fc.nat(3), anything),
    component_id: fc.oneof(fc.string(), anything),
    delta: fc.oneof(fc.string(), anything),
    content: anything,
    annotation: anything,
    task: anything,
    widget: anything,
    component: anything,
    image: anything,
  },
  { requiredKeys: ["type"] },
);
const event = fc.oneof(
  fc.record({
    type: fc.constantFrom("thread.item.added", "thread.item.done", "thread.item.replaced"),
    item: fc.oneof(item, anything),
  }),
  fc.record({ type: fc.constant("thread.item.updated"), item_id: id, update: fc.oneof(update, anything) }),
  fc.record({ type: fc.constant("thread.item.removed"), item_id: fc.oneof(id, anything) }),
  fc.record({ type: fc.constantFrom("thread.created", "thread.updated"), thread: anything }),
  fc.record({
    type: fc.constantFrom("progress_update", "error", "notice", "stream_options", "client_effect", "new"),
    text: anything,
    message: anything,
    title: anything,
  }),
);

describe("a transcript", () => {
  it("takes any events in any order, and shows each item once, in a form that can be drawn", () => {
    fc.assert(
      fc.property(fc.array(event), (events) => {
        const conversation = new Conversation("thr_1");
        for (const one of events) conversation.apply(one as WireEvent, 0);
        const entries = [...conversation.transcript.nodes].map((node) => entryOf(node, VIEWING));
        const shown = entries.filter((entry) => entry !== null);
        expect(new Set(shown.map(({ key }) => key)).size).toBe(shown.length);
        for (const entry of shown) {
          if (entry.kind === "other") for (const line of entry.lines) expect(typeof line).toBe("string");
          if (entry.kind === "assistant")
            for (const part of entry.parts) expect(typeof part.text).toBe("string");
          if (entry.kind === "notice") expect(typeof entry.problem.message).toBe("string");
        }
      }),
      { numRuns: 500 },
    );
  });

  it("has the text of a stream that was cut and came again from its start", () => {
    fc.assert(
      fc.property(
        fc.array(fc.string(), { minLength: 1 }),
        fc.array(fc.nat(), { maxLength: 4 }),
        (deltas, cuts) => {
          const transcript = new Transcript();
          const text = deltas.join("");
          const stream: WireEvent[] = [
            { type: "thread.item.added", item: { ...message("a"), content: [] } },
            ...deltas.map((delta) => ({
              type: "thread.item.updated",
              item_id: "a",
              update: { type: "assistant_message.content_part.text_delta", content_index: 0, delta },
            })),
          ];
          for (const cut of cuts)
            for (const one of stream.slice(0, cut % stream.length)) transcript.apply(one);
          for (const one of stream) transcript.apply(one);
          expect(transcript.item("a")?.item.content).toEqual([{ text }]);
          transcript.apply({ type: "thread.item.done", item: message("a", text) });
          expect(transcript.item("a")).toMatchObject({ state: "whole" });
        },
      ),
    );
  });

  it("is what is stored, whatever pages came before", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.nat(40), { minLength: 1 }),
        fc.uniqueArray(fc.nat(40)),
        fc.integer({ min: 1, max: 10 }),
        (before, after, size) => {
          const order = (list: number[]) =>
            [...list].sort((a, b) => a - b).map((number) => message(`m${String(number).padStart(2, "0")}`));
          const [old, now] = [order(before), order(after)];
          const transcript = new Transcript();
          transcript.merge(page(old.slice(-size), old.length > size), transcript.now, false);
          transcript.merge(page(now.slice(-size), now.length > size), transcript.now, false);
          while (transcript.older !== null) {
            const at = now.findIndex((one) => one.id === transcript.older);
            // The place to go on from was deleted: as the session does.
            if (at < 0) break;
            transcript.prepend(page(now.slice(Math.max(0, at - size), at), at > size));
          }
          const known = new Set([...old, ...now].map((one) => one.id));
          const shown = ids(transcript);
          expect(shown.every((one) => known.has(one))).toBe(true);
          expect(shown).toEqual([...shown].sort());
          expect(shown.slice(-Math.min(size, now.length))).toEqual(now.slice(-size).map((one) => one.id));
        },
      ),
    );
  });

  it("keeps what a stream said after a page was asked for", () => {
    const transcript = new Transcript();
    transcript.merge(page([message("a"), message("b")]), transcript.now, false);
    const asked = transcript.now;
    transcript.apply({ type: "thread.item.done", item: message("c") });
    transcript.merge(page([message("a")]), asked, false);
    expect(ids(transcript)).toEqual(["a", "c"]);
  });

  it("shows what did not change as the same objects", () => {
    const transcript = new Transcript();
    const items = Array.from({ length: 1_000 }, (_, at) => message(`m${at}`));
    transcript.merge(page(items), transcript.now, false);
    const before = [...transcript.nodes].map((node) => entryOf(node, VIEWING));
    transcript.apply({ type: "thread.item.added", item: message("new") });
    transcript.merge(page(structuredClone(items).slice(-100), true), transcript.now, false);
    const after = [...transcript.nodes].map((node) => entryOf(node, VIEWING));
    expect(after).toHaveLength(1_001);
    for (const [at, entry] of before.entries()) expect(after[at]).toBe(entry);
  });

  it("never follows an address that could run something", () => {
    const source = (url: string) => ({
      type: "annotation",
      source: { type: "url", title: "T", url },
      index: 3,
    });
    const urls = [
      "https://example.org/a",
      "/docs",
      "//evil.example",
      "/\\evil.example",
      "javascript:alert(1)",
      "data:text/html,x",
    ];
    const content = [{ type: "output_text", text: "x", annotations: urls.map(source) }];
    const transcript = new Transcript();
    transcript.apply({ type: "thread.item.done", item: { ...message("a"), content } });
    const [entry] = [...transcript.nodes].map((node) => entryOf(node, VIEWING));
    expect(entry).toMatchObject({
      parts: [{ sources: urls.map((url, at) => ({ title: "T", url: at < 2 ? url : null, index: 3 })) }],
    });
    expect(
      readable({ id: "i", type: "generated_image", image: { url: "data:image/svg+xml,<svg/>" } })?.image,
    ).toBeNull();
  });
});

describe("items without a picture of their own", () => {
  it.each<[string, WireItem, object | null]>([
    [
      "a widget",
      {
        id: "i",
        type: "widget",
        widget: {
          type: "Card",
          children: [
            { type: "Title", value: "Hello" },
            { type: "Button", label: "Go" },
          ],
        },
      },
      { label: "Widget", lines: ["Hello", "Go"] },
    ],
    [
      "a workflow",
      {
        id: "i",
        type: "workflow",
        workflow: {
          type: "reasoning",
          summary: { duration: 12 },
          tasks: [{ type: "web_search", title: "Search", queries: ["a", "b"] }],
        },
      },
      { label: "Reasoning", lines: ["Took 12 s", "Search", "a", "b"] },
    ],
    [
      "a question",
      {
        id: "i",
        type: "structured_input",
        inputs: [
          { question: "Which?", options: [{ value: "A" }], answer: { values: ["A"], skipped: false } },
        ],
      },
      { label: "Question", lines: ["Which?", "· A", "Answer: A"] },
    ],
    [
      "a picture",
      { id: "i", type: "generated_image", image: { id: "x", url: "https://example.org/a.png" } },
      { label: "Image", image: "https://example.org/a.png" },
    ],
    [
      "a tool",
      { id: "i", type: "client_tool_call", name: "search", status: "pending" },
      { label: "Tool", lines: ["search: waiting"] },
    ],
    [
      "a type of tomorrow",
      { id: "i", type: "hologram.item", title: "Look" },
      { label: "Hologram item", lines: ["Look"] },
    ],
    ["what is for the model only", { id: "i", type: "hidden_context_item", content: "secret" }, null],
  ])("%s has a readable form", (_, one, form) => {
    if (form === null) expect(readable(one)).toBeNull();
    else expect(readable(one)).toMatchObject(form);
  });
});
