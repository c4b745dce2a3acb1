// The OpenAPI description, for people.

import { element } from "./element.js";
import { theme } from "./theme.js";

theme(document);
const { info, paths, components } = await (await fetch("/openapi.json")).json();
const shown = Object.entries(components.schemas).filter(([, { description }]) => description);

document.querySelector("#about").append(...coded(info.description));
document.querySelector("#operations").append(...Object.entries(paths).flatMap(([path, methods]) => (
  Object.entries(methods).map(([method, operation]) => section(method, path, operation)))));
document.querySelector("#schemas").append(...shown.map(([name, schema]) => fields(name, schema)));

function section(method, path, { description, parameters = [], requestBody, responses }) {
  return element("section", {},
    element("h2", {}, element("code", {}, `${method.toUpperCase()} ${path}`)),
    element("p", {}, ...coded(description)),
    element("pre", { tabindex: "0" }, curl(method, path, requestBody)),
    parameters.length ? table(["parameter", "", "default"], parameters.map(({ name, description: text, schema }) => (
      [element("code", {}, name), text ?? "", String(schema.default ?? "")]))) : "",
    table(["answer", ""], Object.entries(responses).map(([status, answer]) => (
      [element("code", {}, status), ...[status === "200" ? kind(answer) : answer.description]]))));
}

function curl(method, path, body) {
  const form = body ? "-F file=@photo.jpg " : "";
  return `curl ${form}${location.origin}${path}`;
}

/** What an answer is: a link to its schema, or its type. */
function kind({ content }) {
  const [type, { schema }] = Object.entries(content).find(([name]) => name !== "application/json")
    ?? Object.entries(content)[0];
  const name = schema?.$ref?.split("/").at(-1);
  return name ? element("a", { href: `#${name}` }, name) : type;
}

function fields(name, { description, properties }) {
  return element("section", { id: name },
    element("h3", {}, name), element("p", {}, ...coded(description)),
    table(["field", "type", ""], Object.entries(properties).map(([field, own]) => (
      [element("code", {}, field), typeOf(own), own.description ?? ""]))));
}

function typeOf({ type, items, prefixItems, $ref }) {
  if ($ref) return $ref.split("/").at(-1);
  if (prefixItems) return `${prefixItems.length} x ${typeOf(prefixItems[0])}`;
  return items ? `list of ${typeOf(items)}` : type ?? "any";
}

function table(heads, rows) {
  return element("table", {},
    element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((cell) => element("td", {}, cell))))));
}

/** Text whose `words` in backticks become code. */
function coded(text) {
  return text.split("`").map((part, at) => (at % 2 ? element("code", {}, part) : part));
}
