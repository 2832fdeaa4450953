import type { SidebarsConfig } from "@docusaurus/plugin-content-docs";

const sidebars: SidebarsConfig = {
  docs: [
    {
      type: "category",
      label: "Begin",
      collapsible: false,
      items: ["getting-started", "chat-widget", "tutor"],
    },
    {
      type: "category",
      label: "Run it",
      collapsible: false,
      items: ["deploy-on-neon", "accounts", "settings", "operations", "migrate"],
    },
    { type: "category", label: "Build on it", collapsible: false, items: ["api", "EMBED"] },
    {
      type: "category",
      label: "Inside",
      collapsible: false,
      items: ["ARCHITECTURE", "PERFORMANCE", "SCALING"],
    },
  ],
};

export default sidebars;
