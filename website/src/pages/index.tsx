import Link from "@docusaurus/Link";
import useDocusaurusContext from "@docusaurus/useDocusaurusContext";
import CodeBlock from "@theme/CodeBlock";
import Heading from "@theme/Heading";
import Layout from "@theme/Layout";
import type { ReactNode } from "react";
import styles from "./home.module.css";

const COMMANDS = `make demo     # everything on this machine, with a PostgreSQL of its own
make test     # every promise, checked`;

const PROMISES = [
  ["Lossless", "Every item and every field comes back equal, in the order in which it was added."],
  [
    "Private",
    "The owner is in every key and every statement. A stranger’s conversation and none are one answer.",
  ],
  ["Exactly once", "Send again as often as you like: one message, one answer, whatever dies in between."],
  [
    "Works offline",
    "What you type is kept in the browser until the server has it, through reload and crash.",
  ],
  ["Quick", "One statement and one network round trip for each call, in a thread of ten items or 100,000."],
  ["Yours", "Your server, your database, your documents. No page here asks another server for anything."],
] as const;

export default function Home(): ReactNode {
  const { siteConfig } = useDocusaurusContext();
  return (
    <Layout description={siteConfig.tagline}>
      <main className={`container ${styles.home}`}>
        <Heading as="h1">{siteConfig.title}</Heading>
        <p className={styles.tagline}>{siteConfig.tagline}</p>
        <p className={styles.about}>
          A self-hosted backend for ChatKit, in Python. Conversations live per user in PostgreSQL: on Neon, on
          any other, or on your laptop. The chat at the bottom right of each page talks to it.
        </p>
        <div className={styles.commands}>
          <CodeBlock language="bash">{COMMANDS}</CodeBlock>
        </div>
        <div className={styles.ways}>
          <Link className="button button--primary button--lg" to="/docs/getting-started">
            Get started
          </Link>
          <Link className="button button--outline button--primary button--lg" to="/docs/embed">
            Use it in your server
          </Link>
        </div>
        <ul className={styles.promises}>
          {PROMISES.map(([title, text]) => (
            <li key={title}>
              <Heading as="h2">{title}</Heading>
              <p>{text}</p>
            </li>
          ))}
        </ul>
      </main>
    </Layout>
  );
}
