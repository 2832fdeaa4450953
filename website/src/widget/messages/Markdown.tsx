import { memo, type ReactNode, useMemo } from "react";
import ReactMarkdown, { type Components } from "react-markdown";
import remarkGfm from "remark-gfm";
import { OrElse } from "../parts/OrElse";
import { CodeBlock } from "./CodeBlock";
import styles from "./messages.module.css";
import { remarkSources } from "./remarkSources";
import type { NumberedSource } from "./sources";

interface MarkdownProps {
  readonly text: string;
  readonly sources: readonly NumberedSource[];
}

/** Markdown that somebody else wrote: no HTML of theirs, no script addresses, and nothing is fetched that was not clicked. */
export const Markdown = memo(function Markdown({ text, sources }: MarkdownProps): ReactNode {
  const plugins = useMemo(
    () => [remarkGfm, [remarkSources, sources] as [typeof remarkSources, typeof sources]],
    [sources],
  );
  const asWritten = <p className={styles.asWritten}>{text}</p>;
  return (
    <div className={styles.markdown}>
      {TOO_DEEP.test(text) ? (
        asWritten
      ) : (
        <OrElse instead={asWritten} of={text}>
          <ReactMarkdown remarkPlugins={plugins} components={COMPONENTS} skipHtml>
            {text}
          </ReactMarkdown>
        </OrElse>
      )}
    </div>
  );
});

/** So many openings in a row take the parser minutes, or more stack than there is; nobody means them. */
const TOO_DEEP = /(?:(?:!?\[|[>*_~]|[-+] )[ \t]?){200}/;

const COMPONENTS: Components = {
  a: ({ href, children, ...rest }) => (
    <Away to={href} label={rest["aria-label"]}>
      {children}
    </Away>
  ),
  // An image's address can carry what was said to somebody else's server; as a link it is the reader's choice.
  img: ({ src, alt }) => <Away to={typeof src === "string" ? src : undefined}>{alt || "Image"}</Away>,
  pre: ({ node }) => <CodeBlock node={node} />,
  table: ({ children }) => (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: a wide table scrolls in itself, by the keyboard too
    <section className={styles.table} tabIndex={0} aria-label="Table">
      <table>{children}</table>
    </section>
  ),
};

interface AwayProps {
  /** Empty when the address was none that may be followed. */
  readonly to: string | undefined;
  readonly label?: string | undefined;
  readonly children: ReactNode;
}

function Away({ to, label, children }: AwayProps): ReactNode {
  if (!to) return children;
  return (
    <a href={to} target="_blank" rel="noopener noreferrer" aria-label={label}>
      {children}
    </a>
  );
}
