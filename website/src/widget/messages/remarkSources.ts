import type { NumberedSource } from "./sources";

/** As much of a Markdown tree as is needed here. */
interface Node {
  type: string;
  value?: string;
  url?: string;
  children?: Node[];
  data?: { hName?: string; hProperties?: Record<string, string> };
  position?: undefined | { start: { offset?: number } };
}

/** Puts the numbers of sources where they belong in a text: in the sentence, or behind the code that cannot be split. */
export function remarkSources(sources: readonly NumberedSource[]): (tree: Node) => void {
  const placed = sources.flatMap((source) => (source.index === null ? [] : [{ source, at: source.index }]));
  // From the end, so that what is placed does not move what is still to be placed.
  const order = placed.sort((one, other) => other.at - one.at || other.source.number - one.source.number);
  return (tree) => {
    for (const { source, at } of order) place(tree, at, mark(source));
  };
}

function place(parent: Node, at: number, number: Node): void {
  const children = parent.children ?? [];
  // What stands at that character, or else what ends before it.
  const child = children.filter((one) => startOf(one) < at).at(-1);
  if (child === undefined) return;
  const index = children.indexOf(child);
  if (child.type === "text") children.splice(index, 1, ...split(child, at, number));
  else if (child.children && child.type !== "link") place(child, at, number);
  else if (parent.type === "root") children.splice(index + 1, 0, { type: "paragraph", children: [number] });
  else children.splice(index + 1, 0, number);
}

function split(text: Node, at: number, number: Node): Node[] {
  const value = text.value ?? "";
  const cut = at - startOf(text);
  const before: Node = { type: "text", value: value.slice(0, cut), position: text.position };
  return cut < value.length ? [before, number, { type: "text", value: value.slice(cut) }] : [before, number];
}

function mark({ number, title, url }: NumberedSource): Node {
  const label = { "aria-label": `Source ${number}: ${title}` };
  const text: Node = { type: "text", value: String(number) };
  const inner: Node =
    url === null ? text : { type: "link", url, children: [text], data: { hProperties: label } };
  return {
    type: "sourceMark",
    children: [inner],
    data: { hName: "sup", hProperties: url === null ? label : {} },
  };
}

function startOf(node: Node): number {
  return node.position?.start.offset ?? Number.POSITIVE_INFINITY;
}
