import { memo, type ReactNode, useDeferredValue } from "react";
import { Markdown } from "./Markdown";
import styles from "./messages.module.css";
import { distinctSources, type NumberedPart, type NumberedSource } from "./sources";

/** A part of an answer: its text, and what it rests on. */
export const AnswerPart = memo(
  function AnswerPart({ part }: { readonly part: NumberedPart }): ReactNode {
    // Tokens come faster than a long text is drawn: the person's typing goes before them.
    const text = useDeferredValue(part.text);
    return (
      <>
        <Markdown text={text} sources={part.sources} />
        {part.sources.length > 0 && <SourceList sources={distinctSources(part.sources)} />}
      </>
    );
  },
  (before, after) => before.part.text === after.part.text && sameSources(before.part, after.part),
);

function sameSources(one: NumberedPart, other: NumberedPart): boolean {
  return JSON.stringify(one.sources) === JSON.stringify(other.sources);
}

function SourceList({ sources }: { readonly sources: readonly NumberedSource[] }): ReactNode {
  return (
    <ul className={styles.sources} aria-label="Sources">
      {sources.map(({ number, title, url }) => (
        <li key={number}>
          <span className={styles.number}>{number}</span>
          {url === null ? (
            <span>{title}</span>
          ) : (
            <a href={url} target="_blank" rel="noopener noreferrer">
              {title}
            </a>
          )}
        </li>
      ))}
    </ul>
  );
}
