import type { SidebarsConfig } from "@docusaurus/plugin-content-docs";

const sidebars: SidebarsConfig = {
  docs: ["ARCHITECTURE", "PERFORMANCE"],
};

export default sidebars;
