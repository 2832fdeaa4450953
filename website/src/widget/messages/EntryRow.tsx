import { memo, type ReactNode } from "react";
import type { Entry } from "../../chat/contract";
import { AssistantMessage } from "./AssistantMessage";
import { Notice } from "./Notice";
import { OtherItem } from "./OtherItem";
import { UserMessage } from "./UserMessage";

interface EntryRowProps {
  readonly entry: Entry;
  /** It is the last one, and nothing is being written: it can be answered anew. */
  readonly mayRegenerate: boolean;
}

/** One entry. Entries that did not change are the same objects, so that a token redraws one row only. */
export const EntryRow = memo(function EntryRow({ entry, mayRegenerate }: EntryRowProps): ReactNode {
  switch (entry.kind) {
    case "user":
      return <UserMessage entry={entry} />;
    case "assistant":
      return <AssistantMessage entry={entry} mayRegenerate={mayRegenerate} />;
    case "other":
      return <OtherItem entry={entry} />;
    case "notice":
      return <Notice problem={entry.problem} />;
  }
});
