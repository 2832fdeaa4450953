import BrowserOnly from "@docusaurus/BrowserOnly";
import type { ReactNode } from "react";
import { ChatDock } from "../widget/dock/ChatDock";

/** Around every page: the page, and the chat's bubble in its corner. */
export default function Root({ children }: { children: ReactNode }): ReactNode {
  return (
    <>
      {children}
      <BrowserOnly>{() => <ChatDock />}</BrowserOnly>
    </>
  );
}
