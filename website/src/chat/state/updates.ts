/** What updates of a stream make of an item. Items are never changed in place. */

import { type Fields, fieldsOf, listOf, textOf, type WireItem } from "../protocol/wire";

/** Returns the item itself when the update is not one that is known. */
export function updated(item: WireItem, update: Fields): WireItem {
  switch (update.type) {
    case "assistant_message.content_part.added":
    case "assistant_message.content_part.done":
      return changedPart(item, update.content_index, () => fieldsOf(update.content));
    case "assistant_message.content_part.text_delta":
      return changedPart(item, update.content_index, (part) => ({
        ...part,
        text: textOf(part.text) + textOf(update.delta),
      }));
    case "assistant_message.content_part.annotation_added":
      return changedPart(item, update.content_index, (part) => ({
        ...part,
        annotations: placed(listOf(part.annotations), update.annotation_index, update.annotation),
      }));
    case "widget.root.updated":
      return { ...item, widget: update.widget };
    case "widget.component.updated":
      return changedComponent(item, update.component_id, () => fieldsOf(update.component));
    case "widget.streaming_text.value_delta":
      return changedComponent(item, update.component_id, (component) => ({
        ...component,
        value: textOf(component.value) + textOf(update.delta),
      }));
    case "workflow.task.added":
    case "workflow.task.updated": {
      const workflow = fieldsOf(item.workflow);
      return {
        ...item,
        workflow: { ...workflow, tasks: placed(listOf(workflow.tasks), update.task_index, update.task) },
      };
    }
    case "generated_image.updated":
      return { ...item, image: update.image };
    default:
      return item;
  }
}

const MOST_PARTS = 10_000;

function changedPart(item: WireItem, index: unknown, change: (part: Fields) => Fields): WireItem {
  const parts = listOf(item.content);
  const old = typeof index === "number" ? fieldsOf(parts[index]) : {};
  return { ...item, content: placed(parts, index, change(old)) };
}

function placed(list: readonly unknown[], index: unknown, value: unknown): readonly unknown[] {
  if (typeof index !== "number" || !Number.isInteger(index) || index < 0 || index > MOST_PARTS) return list;
  const copy = [...list];
  while (copy.length < index) copy.push({});
  copy[index] = value;
  return copy;
}

function changedComponent(item: WireItem, id: unknown, change: (component: Fields) => Fields): WireItem {
  return { ...item, widget: replaced(item.widget, id, change) };
}

function replaced(tree: unknown, id: unknown, change: (component: Fields) => Fields): unknown {
  if (Array.isArray(tree)) return tree.map((branch) => replaced(branch, id, change));
  if (typeof tree !== "object" || tree === null) return tree;
  const component = tree as Fields;
  if (id !== undefined && component.id === id) return change(component);
  return Object.fromEntries(
    Object.entries(component).map(([name, value]) => [name, replaced(value, id, change)]),
  );
}
