import type { ReactNode } from "react";
import type { ExtraProps } from "react-markdown";
import { Button } from "../parts/Button";
import { useCopy } from "../parts/useCopy";
import styles from "./messages.module.css";

type Node = NonNullable<ExtraProps["node"]>;
type Child = Node["children"][number];

/** A block of code with its language, and a button that copies it. */
export function CodeBlock({ node }: ExtraProps): ReactNode {
  const copy = useCopy();
  const code = node?.children.find((child) => child.type === "element");
  const text = code ? textOf(code) : "";
  return (
    <div className={styles.code}>
      <div className={styles.codeHead}>
        <span>{code ? languageOf(code) : ""}</span>
        <Button look="link" onClick={() => copy(text)}>
          Copy code
        </Button>
      </div>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: long lines scroll, by the keyboard too */}
      <pre tabIndex={0}>
        <code>{text}</code>
      </pre>
    </div>
  );
}

function languageOf(code: Node): string {
  const classes = code.properties.className;
  const named = Array.isArray(classes)
    ? classes.find((name) => String(name).startsWith("language-"))
    : undefined;
  return named === undefined ? "" : String(named).slice("language-".length);
}

function textOf(node: Child): string {
  if (node.type === "text") return node.value;
  return node.type === "element" ? node.children.map(textOf).join("") : "";
}
