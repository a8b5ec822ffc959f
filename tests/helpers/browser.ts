/**
 * Debian's Chromium, headless, as a test drives it.
 *
 * @module
 */

import fs from "node:fs";
import type { Browser, Page } from "playwright-core";
import type { Reason } from "./permissions.ts";

const PATH = "/usr/bin/chromium";

/** Why there is no browser to test with. */
export const NO_BROWSER: Reason = isThere() ? undefined : `needs ${PATH}`;

function isThere(): boolean {
  try {
    return Deno.permissions.querySync({ name: "read" }).state === "granted" &&
      Deno.statSync(PATH).isFile;
  } catch {
    return false;
  }
}

/** A browser with one page; what the page asks for and complains of is kept. */
export class TestBrowser implements AsyncDisposable {
  readonly page: Page;
  /** Errors on the console, and exceptions. */
  readonly complaints: string[] = [];
  /** All addresses that were asked for. */
  readonly requested: string[] = [];
  readonly #browser: Browser;

  private constructor(browser: Browser, page: Page) {
    this.#browser = browser;
    this.page = page;
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) this.complaints.push(message.text());
    });
    page.on("pageerror", (error) => this.complaints.push(`${error}`));
    page.on("request", (request) => this.requested.push(request.url()));
  }

  static async open(): Promise<TestBrowser> {
    const { chromium } = await loadPlaywright();
    const browser = await chromium.launch({
      executablePath: PATH,
      args: [
        ...[
          "--no-sandbox",
          "--disable-gpu",
          "--disable-quic",
          "--no-first-run",
          "--disable-dev-shm-usage",
        ],
        ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
      ],
    });
    return new TestBrowser(browser, await browser.newPage());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#browser.close();
  }
}

/** Playwright asks as it is loaded what kind of machine this is: of files that Deno lets nobody see there are none. */
async function loadPlaywright(): Promise<typeof import("playwright-core")> {
  const { existsSync } = fs;
  fs.existsSync = (path) => {
    try {
      return existsSync(path);
    } catch {
      return false;
    }
  };
  try {
    return await import("playwright-core");
  } finally {
    fs.existsSync = existsSync;
  }
}
