
"use strict";
// Everything shown is set as text, never as markup: names come from a process that may be hostile.
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);
const make = (tag, text, className) => {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
};
const plural = (n) => n.toLocaleString("en") + (n === 1 ? " goroutine" : " goroutines");

for (const [name, value] of data.facts) {
  const fact = make("div");
  fact.append(make("dt", name), make("dd", value));
  byId("facts").append(fact);
}
byId("notes").textContent = data.notes.join("\n");

// The flame graph. Nodes come in preorder as depth, name, count.
const ROW = 19, LEAST = 0.0007;
const root = { name: "all", count: data.total, start: 0, depth: 0, children: [], parent: null };
{
  const path = [root], filled = [0];
  for (let i = 0; i < data.flame.length; i += 3) {
    const depth = data.flame[i] + 1;
    path.length = filled.length = depth;
    const parent = path[depth - 1];
    const node = { name: data.names[data.flame[i + 1]], count: data.flame[i + 2], depth, children: [], parent,
      start: parent.start + filled[depth - 1] };
    filled[depth - 1] += node.count;
    filled[depth] = 0;
    parent.children.push(node);
    path[depth] = node;
  }
}
let zoomed = root, focused = root;
const flame = byId("flame"), elements = new Map();
const hue = (name) => {
  const place = name.startsWith("[") ? name : name.slice(0, name.indexOf(".", name.lastIndexOf("/")));
  let hash = 7;
  for (const c of place) hash = (hash * 31 + c.codePointAt(0)) >>> 0;
  return hash % 360;
};
// Within a frame the package's path is left out: in a narrow one nothing else would be seen.
const short = (name) => name.startsWith("[") ? name : name.slice(name.lastIndexOf("/") + 1);
const share = (node) => root.count ? (100 * node.count / root.count).toFixed(1) + "%" : "";
const describe = (node) => `${node.name}: ${plural(node.count)}, ${share(node)}`;
const hover = (node) => { byId("hover").textContent = describe(node); };

function place(node, left, width, faded) {
  const element = make("button", short(node.name), faded ? "frame faded" : "frame");
  element.type = "button";
  element.title = describe(node);
  element.tabIndex = -1;
  element.setAttribute("role", "treeitem");
  element.setAttribute("aria-level", node.depth + 1);
  element.setAttribute("aria-label", describe(node));
  element.style.left = 100 * left + "%";
  element.style.width = 100 * width + "%";
  element.style.top = node.depth * ROW + "px";
  element.style.setProperty("--hue", hue(node.name));
  element.addEventListener("click", () => zoom(node));
  element.addEventListener("mouseenter", () => hover(node));
  element.addEventListener("focus", () => { focused = node; hover(node); });
  elements.set(node, element);
  flame.append(element);
}
function draw() {
  flame.replaceChildren();
  elements.clear();
  let depth = 0;
  for (let node = zoomed.parent; node; node = node.parent) place(node, 0, 1, true);
  const todo = [zoomed];
  while (todo.length) {
    const node = todo.pop();
    const width = zoomed.count ? node.count / zoomed.count : 1;
    if (width < LEAST) continue;
    place(node, zoomed.count ? (node.start - zoomed.start) / zoomed.count : 0, width, false);
    depth = Math.max(depth, node.depth);
    todo.push(...node.children);
  }
  flame.style.height = (depth + 1) * ROW + 2 + "px";
  (elements.get(focused) || elements.get(zoomed)).tabIndex = 0;
}
function zoom(node) {
  zoomed = focused = node;
  byId("reset").disabled = node === root;
  draw();
  elements.get(node).focus();
}
function move(node) {
  if (!node || !elements.has(node)) return;
  const before = elements.get(focused);
  if (before) before.tabIndex = -1;
  focused = node;
  const element = elements.get(node);
  element.tabIndex = 0;
  element.focus();
}
const sibling = (node, step) => node.parent && node.parent.children[node.parent.children.indexOf(node) + step];
const widest = (nodes) => nodes.reduce((best, node) => !best || node.count > best.count ? node : best, null);
flame.addEventListener("keydown", (event) => {
  const moves = { ArrowUp: () => focused.parent, ArrowDown: () => widest(focused.children),
    ArrowLeft: () => sibling(focused, -1), ArrowRight: () => sibling(focused, 1) };
  if (moves[event.key]) move(moves[event.key]());
  else if (event.key === "Escape") zoom(zoomed.parent || root);
  else return;
  event.preventDefault();
});
byId("reset").addEventListener("click", () => zoom(root));
draw();

// The table of groups.
const by = byId("by"), filter = byId("filter"), rows = byId("rows");
for (const grouping of data.groupings) {
  const option = make("option", grouping.by);
  option.value = grouping.by;
  option.selected = grouping.by === data.by;
  by.append(option);
}
let sortKey = "count", descending = true;
const bytes = (n) => n < 1024 ? n + " B" : n < 1048576 ? (n / 1024).toFixed(0) + " KiB" : (n / 1048576).toFixed(1) + " MiB";
const compare = (a, b) => {
  const [x, y] = [a[sortKey], b[sortKey]];
  const order = typeof x === "string" ? x.localeCompare(y) : (x ?? -1) - (y ?? -1);
  return (descending ? -order : order) || b.count - a.count || (a.title < b.title ? -1 : 1);
};
function wanted() {
  const text = filter.value.trim();
  filter.setCustomValidity("");
  const regex = text.match(/^\/(.*)\/(i?)$/);
  if (!regex) {
    const lower = text.toLowerCase();
    return (group) => !lower || group.search.includes(lower);
  }
  try {
    const pattern = new RegExp(regex[1], regex[2]);
    return (group) => pattern.test(group.text);
  } catch (error) {
    filter.setCustomValidity(error.message);
    filter.reportValidity();
    return () => true;
  }
}
for (const grouping of data.groupings) for (const group of grouping.groups) {
  group.text = [group.title, group.doing, group.creator, group.blocked, group.labels, ...group.stack.map(([f]) => f)].join("\n");
  group.search = group.text.toLowerCase();
}
function detail(group) {
  const row = make("tr", undefined, "detail"), cell = make("td");
  cell.colSpan = 5;
  const lines = [];
  if (group.blocked) lines.push("blocked on: " + group.blocked);
  if (group.creator) lines.push("created by: " + group.creator);
  if (group.labels) lines.push("labels: " + group.labels);
  lines.push("goroutines: " + group.goids.join(", ") + (group.count > group.goids.length ? ", …" : ""));
  cell.append(make("pre", lines.join("\n")));
  const stack = make("pre");
  for (const [frame, hidden] of group.stack) {
    stack.append(make("span", frame + "\n", hidden ? "hidden-frame" : ""));
  }
  cell.append(stack);
  row.append(cell);
  return row;
}
function toggle(row, group) {
  const open = row.getAttribute("aria-expanded") === "true";
  row.setAttribute("aria-expanded", String(!open));
  if (open) row.nextElementSibling.remove();
  else row.after(detail(group));
}
function fill() {
  const grouping = data.groupings.find((grouping) => grouping.by === by.value);
  const matching = grouping.groups.filter(wanted()).sort(compare);
  rows.replaceChildren(...matching.map((group) => {
    const row = make("tr", undefined, "group");
    row.tabIndex = 0;
    row.setAttribute("aria-expanded", "false");
    row.append(make("td", group.count.toLocaleString("en"), "number"), make("td", group.title), make("td", group.doing),
      make("td", group.age, "number"), make("td", bytes(group.bytes), "number"));
    row.addEventListener("click", () => toggle(row, group));
    row.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") { toggle(row, group); event.preventDefault(); }
    });
    return row;
  }));
  const count = matching.reduce((sum, group) => sum + group.count, 0);
  const more = grouping.more ? `; ${grouping.more.toLocaleString("en")} smaller groups are not on this page` : "";
  byId("matched").textContent = `${matching.length.toLocaleString("en")} groups, ${plural(count)}${more}`;
  for (const button of document.querySelectorAll("th button")) {
    const sorted = button.dataset.key === sortKey;
    button.parentElement.setAttribute("aria-sort", sorted ? (descending ? "descending" : "ascending") : "none");
  }
}
for (const button of document.querySelectorAll("th button")) {
  button.addEventListener("click", () => {
    const key = button.dataset.key;
    descending = key === sortKey ? !descending : key !== "title" && key !== "doing";
    sortKey = key;
    fill();
  });
}
rows.addEventListener("keydown", (event) => {
  const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
  if (!step) return;
  let row = event.target.closest("tr");
  do row = row && row[step]; while (row && !row.classList.contains("group"));
  if (row) row.focus();
  event.preventDefault();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !/^(INPUT|SELECT)$/.test(event.target.tagName)) {
    filter.focus();
    filter.select();
    event.preventDefault();
  } else if (event.key === "Escape" && event.target === filter) {
    filter.value = "";
    fill();
  }
});
by.addEventListener("change", fill);
filter.addEventListener("input", fill);
fill();
