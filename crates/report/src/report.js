(() => {
  "use strict";
  // Tables of at least this many rows can be filtered: fewer are read faster than a word is typed.
  const FILTER_ROWS = 12;
  const collator = new Intl.Collator("en", { numeric: true });

  // What a cell is sorted by: a number, a text, or null for nothing, which is always last.
  const sortValue = (row, column, numeric) => {
    const text = row.cells[column].textContent.trim();
    if (["", "n/a", "\u2013"].includes(text)) return null;
    if (!numeric) return text;
    const number = parseFloat(text.replace(/[^\d.\u2212-]/g, "").replace("\u2212", "-"));
    return Number.isNaN(number) ? null : number;
  };

  const sortBy = (table, header, column) => {
    const numeric = header.classList.contains("n");
    const before = header.getAttribute("aria-sort");
    const ascending = before ? before === "descending" : !numeric;
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    const body = table.tBodies[0];
    const rows = Array.from(body.rows, (row) => [sortValue(row, column, numeric), row]);
    rows.sort(([a], [b]) => {
      if (a === null || b === null) return (a === null) - (b === null);
      const order = numeric ? a - b : collator.compare(a, b);
      return ascending ? order : -order;
    });
    body.append(...rows.map(([, row]) => row));
  };

  const makeSortable = (table) => {
    Array.from(table.tHead.rows[0].cells).forEach((header, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...header.childNodes);
      header.append(button);
      button.addEventListener("click", () => sortBy(table, header, column));
    });
  };

  const makeFilterable = (table, number) => {
    const rows = Array.from(table.tBodies[0].rows);
    const box = document.createElement("div");
    const label = document.createElement("label");
    const input = document.createElement("input");
    const status = document.createElement("output");
    box.className = "filter";
    input.type = "search";
    input.id = `filter-${number}`;
    input.autocomplete = "off";
    input.spellcheck = false;
    label.htmlFor = input.id;
    label.textContent = "Filter rows";
    input.setAttribute("aria-label", `Filter rows: ${table.closest(".scroll").getAttribute("aria-label")}`);
    status.htmlFor = input.id;
    box.append(label, input, status);
    table.closest(".scroll").before(box);
    input.addEventListener("input", () => {
      const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
        if (!row.hidden) shown += 1;
      }
      status.textContent = words.length ? `${shown.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows` : "";
    });
  };

  Array.from(document.querySelectorAll("table.sort")).forEach((table, index) => {
    if (table.tBodies[0].rows.length > 1) makeSortable(table);
    if (table.tBodies[0].rows.length >= FILTER_ROWS) makeFilterable(table, index + 1);
  });
})();
