import BrowserOnly from "@docusaurus/BrowserOnly";
import useDocusaurusContext from "@docusaurus/useDocusaurusContext";
import { type ReactNode, useMemo } from "react";
import { ChatDock } from "../widget/dock/ChatDock";
import { readSettings } from "../widget/settings";

/** Around every page: the page, and the chat's bubble in its corner. Settings that are not right stop the build. */
export default function Root({ children }: { children: ReactNode }): ReactNode {
  const chat = useDocusaurusContext().siteConfig.customFields?.chat;
  const settings = useMemo(() => readSettings(chat), [chat]);
  return (
    <>
      {children}
      <BrowserOnly>{() => <ChatDock settings={settings} />}</BrowserOnly>
    </>
  );
}
