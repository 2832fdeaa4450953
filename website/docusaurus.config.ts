import type * as Preset from "@docusaurus/preset-classic";
import type { Config } from "@docusaurus/types";
import { themes } from "prism-react-renderer";

const config: Config = {
  title: "chatkit-neon",
  tagline: "Chat history that never loses a message, and never shows it to anyone else.",
  // Only sitemaps and canonical links need it; whoever publishes the site under an address names it.
  url: process.env.SITE_URL ?? "http://127.0.0.1:8000",
  baseUrl: "/",
  trailingSlash: false,
  onBrokenLinks: "throw",
  onBrokenAnchors: "throw",
  markdown: { format: "detect", hooks: { onBrokenMarkdownLinks: "throw", onBrokenMarkdownImages: "throw" } },
  future: { v4: true, faster: true },
  i18n: { defaultLocale: "en", locales: ["en"] },
  presets: [
    [
      "classic",
      {
        // One set of documents: what a reader of the repository sees is what the site shows.
        docs: { path: "../docs", sidebarPath: "./sidebars.ts" },
        blog: false,
        theme: { customCss: "./src/css/site.css" },
      } satisfies Preset.Options,
    ],
  ],
  themeConfig: {
    colorMode: { respectPrefersColorScheme: true },
    navbar: {
      title: "chatkit-neon",
      items: [
        { type: "docSidebar", sidebarId: "docs", label: "Docs", position: "left" },
        { href: "pathname:///api/docs", label: "API", position: "left" },
      ],
    },
    footer: { style: "light", copyright: "chatkit-neon. MIT license." },
    prism: {
      theme: themes.github,
      darkTheme: themes.dracula,
      additionalLanguages: ["bash", "http", "json", "python"],
    },
  } satisfies Preset.ThemeConfig,
};

export default config;
