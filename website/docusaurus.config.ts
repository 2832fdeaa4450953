import type * as Preset from "@docusaurus/preset-classic";
import type { Config, Plugin } from "@docusaurus/types";
import { dark, light } from "./prism";

/** Builds the pages without the chat: WITHOUT_CHAT=1, by which scripts/sizes.mjs measures what it costs. */
function withoutChat(): Plugin {
  const root = require.resolve("@docusaurus/core/lib/client/theme-fallback/Root");
  return {
    name: "without-chat",
    configureWebpack: () => ({ resolve: { alias: { "@theme/Root": root, "@theme/Root$": root } } }),
  };
}

const config: Config = {
  title: "chatkit-neon",
  tagline: "Chat history that never loses a message, and never shows it to anyone else.",
  // Only sitemaps and canonical links need it; whoever publishes the site under an address names it.
  url: process.env.SITE_URL ?? "http://127.0.0.1:8000",
  baseUrl: "/",
  // A script inside each page, of use only where the address above is wrong.
  baseUrlIssueBanner: false,
  favicon: "img/icon.svg",
  trailingSlash: false,
  onBrokenLinks: "throw",
  onBrokenAnchors: "throw",
  markdown: { format: "detect", hooks: { onBrokenMarkdownLinks: "throw", onBrokenMarkdownImages: "throw" } },
  // Layers would be rewritten for old browsers so that they win over the site's own styles.
  future: {
    v4: { removeLegacyPostBuildHeadAttribute: true, useCssCascadeLayers: false },
    faster: true,
  },
  i18n: { defaultLocale: "en", locales: ["en"] },
  plugins: process.env.WITHOUT_CHAT ? [withoutChat] : [],
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
      logo: { src: "img/icon.svg", alt: "", width: 28, height: 28 },
      items: [
        { type: "docSidebar", sidebarId: "docs", label: "Docs", position: "left" },
        { to: "/docs/api", label: "API", position: "left" },
      ],
    },
    footer: { style: "light", copyright: "chatkit-neon. MIT license." },
    prism: {
      theme: light,
      darkTheme: dark,
      additionalLanguages: ["bash", "http", "json", "python"],
    },
  } satisfies Preset.ThemeConfig,
};

export default config;
