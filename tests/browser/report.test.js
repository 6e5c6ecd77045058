// What the report promises to a reader with a browser, tried in Chromium with every HTML file of the folder REPORTS:
//
//     npm ci && REPORTS=/path/to/folder npm test
//
// CHROMIUM names another browser than /usr/bin/chromium.
import assert from "node:assert/strict";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const MAX_BYTES = 3_000_000;
const FILTER_ROWS = 12;
// axe-core takes half a minute for a view of a file beyond this, which it sees in two of the four.
const AXE_ALL_VIEWS_BYTES = 500_000;
// A4 without its margins, in CSS pixels.
const PRINT = { width: 703, height: 1024 };
const VIEWS = ["light", "dark"].flatMap((scheme) => [360, 1280].map((width) => ({ scheme, width })));

assert.ok(process.env.REPORTS, "REPORTS must name a folder of HTML files");
const folder = resolve(process.env.REPORTS);
const files = readdirSync(folder).filter((file) => file.endsWith(".html")).sort();
assert.ok(files.length > 0, `no HTML file in ${folder}`);

let browser;
before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"],
  });
});
after(() => browser?.close());

// Opens a file, calls `use`, and fails on whatever went wrong meanwhile: errors, requests, dialogs, what hostile values may have done.
const withPage = async (file, options, use) => {
  const { scheme = "light", width = 1280, height = 900, ...context_options } = options;
  const context = await browser.newContext({ colorScheme: scheme, viewport: { width, height }, ...context_options });
  try {
    const page = await context.newPage();
    const url = pathToFileURL(join(folder, file)).href;
    const problems = [];
    page.on("console", (message) => ["error", "warning"].includes(message.type()) && problems.push(`console: ${message.text()}`));
    page.on("pageerror", (error) => problems.push(`page error: ${error.message}`));
    page.on("request", (request) => request.url().split("#")[0] !== url && problems.push(`request: ${request.url()}`));
    page.on("dialog", (dialog) => (problems.push(`dialog: ${dialog.message()}`), dialog.dismiss()));
    await page.goto(url);
    const result = await use(page);
    assert.deepEqual(problems, []);
    return result;
  } finally {
    await context.close();
  }
};

// All of these run in the page.

const overflow = () => {
  const inside = document.documentElement.clientWidth;
  const scrolls = (element) => element.closest(".scroll, .off, .clamp, svg") !== null;
  const wide = [...document.body.querySelectorAll("*")]
    .filter((element) => !scrolls(element) && element.getBoundingClientRect().right > inside + 1)
    .slice(0, 5)
    .map((element) => `${element.tagName}.${element.getAttribute("class")}: ${element.textContent.trim().slice(0, 40)}`);
  return { page: document.documentElement.scrollWidth - inside, wide };
};

// What values may never do: make an element or an attribute, run anything, name an id, lead anywhere.
const injected = () => {
  const found = [];
  const say = (what, element) => found.push(`${what}: ${element.outerHTML.slice(0, 120)}`);
  if (window.__hacked !== undefined) found.push("window.__hacked is set");
  const tags = new Set(("html head meta title style body a header nav main footer section h1 h2 h3 p ul li dl dt dd div span b small bdi code figure " +
    "figcaption svg path rect desc details summary table caption thead tbody tr th td script button label input output").split(" "));
  const ids = /^(summary|summary-title|definitions|definitions-title|broke|a\d+(-[a-z]+)?|filter-\d+)$/;
  const seen = new Set();
  for (const element of document.querySelectorAll("*")) {
    if (!tags.has(element.localName)) say("element", element);
    if (["bdi", "desc", "style", "script"].includes(element.localName) && element.children.length) say("element in a value", element);
    if (element.localName === "title" && element.children.length) say("element in a title", element);
    for (const { name, value } of element.attributes) {
      if (name.startsWith("on") || ["src", "srcset", "action", "formaction", "xlink:href", "data"].includes(name)) say(`attribute ${name}`, element);
      if (name === "href" && !/^#(summary|definitions|a\d+)$/.test(value)) say("link", element);
      if (name === "style" && !/^left:[\d.]+%$/.test(value)) say("style", element);
      if (name === "id" && (!ids.test(value) || seen.has(value))) say("id", element);
      if (name === "id") seen.add(value);
      if (name.startsWith("aria-labelledby") && !document.getElementById(value)) say("label of nothing", element);
    }
  }
  for (const link of document.querySelectorAll("a[href]")) if (!document.querySelector(link.getAttribute("href"))) say("link to nothing", link);
  if (document.scripts.length !== 1) found.push(`${document.scripts.length} scripts`);
  if (document.querySelectorAll("style").length !== 1) found.push("not one style");
  if (!document.querySelector("meta[http-equiv=Content-Security-Policy]")?.content.startsWith("default-src 'none';")) found.push("no CSP");
  return found;
};

// What is there to read, and whether it takes any room.
const readable = () => {
  const closed = (element) => element.closest("details:not([open])") !== null;
  const visible = (element) => closed(element) || (element.getBoundingClientRect().height > 0 && getComputedStyle(element).visibility === "visible");
  const all = (selector) => [...document.querySelectorAll(selector)];
  return {
    h1: document.querySelector("h1").textContent,
    sections: all("main > section").length,
    figures: all("dl.stats").length,
    tables: all("table").length,
    captions: all("table > caption").length,
    rows: all("tbody tr").length,
    charts: all("svg[role=img]").length,
    named_charts: all("svg[role=img] > title").length,
    lines: all("svg[role=img] path.p").filter((path) => /^M[\d.]+ -?[\d.]+/.test(path.getAttribute("d"))).length,
    broken_lines: all("svg path").filter((path) => /[^MLHh\d. -]/.test(path.getAttribute("d"))).length,
    regions: all(".scroll").filter((region) => region.matches("[role=region][tabindex='0'][aria-label]")).length,
    hidden: all("main section, table, tbody tr, svg[role=img], dl, h2, h3").filter((element) => !visible(element)).map((element) => element.outerHTML.slice(0, 120)),
  };
};

// Sorts every column of every table, twice, and says what is then not in order.
const sorting = () => {
  const wrong = [];
  let sorted = 0;
  const collator = new Intl.Collator("en", { numeric: true });
  for (const table of document.querySelectorAll("table.sort")) {
    const body = table.tBodies[0];
    if (body.rows.length < 2) continue;
    const before = [...body.rows].map((row) => row.textContent).sort().join("\n");
    [...table.tHead.rows[0].cells].forEach((header, column) => {
      const where = `${table.closest(".scroll").getAttribute("aria-label")}, ${header.textContent}`;
      const button = header.querySelector("button");
      if (!button) return wrong.push(`${where}: no button`);
      const directions = [0, 1].map(() => {
        button.click();
        const direction = header.getAttribute("aria-sort");
        const texts = [...body.rows].map((row) => row.cells[column].textContent.trim());
        const is_none = (text) => ["", "n/a", "–"].includes(text);
        const values = texts.filter((text) => !is_none(text));
        if (texts.slice(0, values.length).some(is_none)) wrong.push(`${where}: n/a is not last`);
        const order = header.classList.contains("n")
          ? (a, b) => parseFloat(a.replaceAll(",", "").replace("−", "-")) - parseFloat(b.replaceAll(",", "").replace("−", "-"))
          : collator.compare;
        const sign = direction === "ascending" ? 1 : -1;
        if (values.some((value, index) => index > 0 && sign * order(values[index - 1], value) > 0)) wrong.push(`${where}: not ${direction}`);
        return direction;
      });
      if (directions.sort().join() !== "ascending,descending") wrong.push(`${where}: ${directions}`);
      if (table.querySelectorAll("[aria-sort]").length !== 1) wrong.push(`${where}: not one sorted column`);
      sorted += 1;
    });
    if ([...body.rows].map((row) => row.textContent).sort().join("\n") !== before) wrong.push("a row was lost");
  }
  return { wrong, sorted };
};

const filtering = (least_rows) => {
  const wrong = [];
  let filtered = 0;
  const tables = [...document.querySelectorAll("table.sort")].filter((table) => table.tBodies[0].rows.length >= least_rows);
  for (const table of tables) {
    const box = table.closest(".scroll").previousElementSibling;
    const input = box?.querySelector("input[type=search]");
    const where = table.closest(".scroll").getAttribute("aria-label");
    if (!input) {
      wrong.push(`${where}: no filter`);
      continue;
    }
    const rows = [...table.tBodies[0].rows];
    const type = (text) => {
      input.value = text;
      input.dispatchEvent(new Event("input", { bubbles: true }));
      return rows.filter((row) => row.checkVisibility() || (row.closest("details:not([open])") && !row.hidden));
    };
    const word = rows[rows.length - 1].cells[0].textContent.trim().split(/\s+/)[0].toUpperCase();
    const shown = type(word);
    if (!shown.includes(rows[rows.length - 1]) || shown.some((row) => !row.textContent.toUpperCase().includes(word))) wrong.push(`${where}: ${word}`);
    if (!box.querySelector("output").textContent.includes(`of ${rows.length.toLocaleString("en")} rows`)) wrong.push(`${where}: no count`);
    if (type("no row has this").length !== 0) wrong.push(`${where}: shows rows without the words`);
    if (type("").length !== rows.length) wrong.push(`${where}: rows did not come back`);
    filtered += 1;
  }
  return { wrong, filtered };
};

// What paper would cut off.
const cut = () =>
  [...document.querySelectorAll(".scroll")].filter((region) => region.scrollWidth > region.clientWidth + 1).map((region) => region.getAttribute("aria-label"));

const tried = { sorted: 0, filtered: 0, charts: 0, tables: 0 };

for (const file of files) {
  describe(file, () => {
    const bytes = statSync(join(folder, file)).size;

    test("is small", () => assert.ok(bytes < MAX_BYTES));

    for (const { scheme, width } of VIEWS) {
      test(`opens without errors, requests or overflow, ${scheme}, ${width} px`, () =>
        withPage(file, { scheme, width }, async (page) => {
          assert.deepEqual(await page.evaluate(overflow), { page: 0, wide: [] });
          const [canvas] = await page.evaluate(() => getComputedStyle(document.body).backgroundColor.match(/\d+/));
          assert.equal(Number(canvas) > 128, scheme === "light", "the page has the colours of the scheme");
          assert.deepEqual(await page.evaluate(injected), []);
        }));

      if (bytes > AXE_ALL_VIEWS_BYTES && (scheme === "dark") !== (width === 360)) continue;
      test(`axe-core has no violations, ${scheme}, ${width} px`, () =>
        withPage(file, { scheme, width, bypassCSP: true }, async (page) => {
          await page.evaluate(AXE);
          const violations = await page.evaluate(async () => (await axe.run(document, { resultTypes: ["violations"] })).violations
            .map(({ id, nodes }) => `${id}: ${nodes.length} times, ${nodes[0].html.slice(0, 160)} ${nodes[0].failureSummary}`));
          assert.deepEqual(violations, []);
        }));
    }

    test("its script sorts and filters under its own CSP", () =>
      withPage(file, {}, async (page) => {
        const { wrong, sorted } = await page.evaluate(sorting);
        assert.deepEqual(wrong, []);
        const filters = await page.evaluate(filtering, FILTER_ROWS);
        assert.deepEqual(filters.wrong, []);
        assert.deepEqual(await page.evaluate(injected), []);
        tried.sorted += sorted;
        tried.filtered += filters.filtered;
      }));

    test("the keyboard reaches the skip link first, and sorts", () =>
      withPage(file, {}, async (page) => {
        await page.keyboard.press("Tab");
        const skip = await page.evaluate(() => [document.activeElement.className, document.activeElement.getBoundingClientRect().top >= 0]);
        assert.deepEqual(skip, ["skip", true]);
        const button = page.locator("main section > .scroll th button").first();
        if (await button.count()) {
          await button.focus();
          await page.keyboard.press("Enter");
          assert.ok(await button.evaluate((element) => element.parentElement.hasAttribute("aria-sort")));
        }
      }));

    test("everything can be read without script", async () => {
      const with_script = await withPage(file, {}, (page) => page.evaluate(readable));
      const without = await withPage(file, { javaScriptEnabled: false }, async (page) => {
        assert.equal(await page.locator("th button, input").count(), 0, "the script did run");
        return page.evaluate(readable);
      });
      assert.deepEqual(without, with_script);
      assert.deepEqual(without.hidden, []);
      assert.equal(without.broken_lines, 0);
      assert.equal(without.captions, without.tables);
      assert.equal(without.regions, without.tables);
      assert.equal(without.named_charts, without.charts);
      assert.ok(without.lines >= without.charts, "every chart has a line");
      if (without.figures) assert.ok(without.tables > 0 && without.rows > 0);
      tried.charts += without.charts;
      tried.tables += without.tables;
    });

    test("prints to A4 and nothing is cut", () =>
      withPage(file, { scheme: "dark", ...PRINT }, async (page) => {
        const pdf = await page.pdf({ format: "A4", preferCSSPageSize: true });
        assert.equal(pdf.subarray(0, 5).toString(), "%PDF-");
        await page.emulateMedia({ media: "print" });
        assert.deepEqual(await page.evaluate(overflow), { page: 0, wide: [] });
        assert.deepEqual(await page.evaluate(cut), []);
        const split = await page.evaluate(() => [...document.querySelectorAll("tr, figure")].filter((element) => getComputedStyle(element).breakInside !== "avoid").length);
        assert.equal(split, 0, "rows and figures are not split");
        assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(255, 255, 255)");
        const cells = await page.evaluate(() => [...document.querySelectorAll("td[class^=h]:not(.hx)")].filter((cell) => getComputedStyle(cell).printColorAdjust !== "exact").length);
        assert.equal(cells, 0, "cells of heat maps keep their colours");
      }));
  });
}

test("the folder has something to sort, to filter and to look at", () => {
  for (const [what, times] of Object.entries(tried)) assert.ok(times > 0, `nothing tried: ${what}`);
});
