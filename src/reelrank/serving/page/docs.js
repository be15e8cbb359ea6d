// The API reference: /openapi.json as a page to read, with a form to try each GET.

import { fetchAuthorized } from "/page/access.js";
import { element } from "/page/dom.js";

const METHODS = ["get", "post", "put", "patch", "delete"];
const reference = document.getElementById("reference");
const index = document.getElementById("index");

const anchor = (...words) => words.join("-").replaceAll(/[^a-z0-9]+/gi, "-").toLowerCase();
const method = (name) => element("span", { class: `method method-${name}`, text: name.toUpperCase() });
const nameOf = (ref) => ref.split("/").at(-1);

/** A schema in a few words; a named one as a link to its table. */
function type(schema) {
  if (!schema) return ["anything"];
  if (schema.$ref) return [element("a", { href: `#${anchor("schema", nameOf(schema.$ref))}`, text: nameOf(schema.$ref) })];
  const choices = schema.anyOf ?? schema.oneOf;
  if (choices) return choices.flatMap((choice, place) => (place ? [" or ", ...type(choice)] : type(choice)));
  if ("const" in schema) return [JSON.stringify(schema.const)];
  if (schema.enum) return [schema.enum.map((value) => JSON.stringify(value)).join(" or ")];
  if (schema.items) return ["list of ", ...type(schema.items)];
  if (typeof schema.additionalProperties === "object") return ["map to ", ...type(schema.additionalProperties)];
  return [[schema.type ?? "anything"].flat().join(" or ")];
}

const LIMITS = { minimum: "≥ ", maximum: "≤ ", exclusiveMinimum: "> ", exclusiveMaximum: "< ", minLength: "shortest ", maxLength: "longest ", minItems: "at least ", maxItems: "at most ", default: "default " };

function remarks(schema, description) {
  const limits = Object.entries(LIMITS).filter(([key]) => schema?.[key] !== undefined).map(([key, sign]) => sign + JSON.stringify(schema[key]));
  return [description ?? schema?.description, limits.join(", ")].filter(Boolean).join(" · ");
}

function fields(title, rows) {
  const line = ({ name, schema, required, description, where }) =>
    element("tr", {}, element("td", {}, element("code", { text: name }), required ? element("div", { class: "must", text: "required" }) : null, where ? element("div", { class: "must", text: where === "query" ? "" : `in ${where}` }) : null),
      element("td", {}, element("code", { class: "type" }, type(schema))), element("td", { text: remarks(schema, description) }));
  const head = element("tr", {}, [title, "Type", "Meaning"].map((text) => element("th", { scope: "col", text })));
  return element("table", {}, element("thead", {}, head), element("tbody", {}, rows.map(line)));
}

const properties = (schema) =>
  Object.entries(schema.properties ?? {}).map(([name, property]) => ({ name, schema: property, required: schema.required?.includes(name) }));

/** The schema of a body or an answer, as one line. */
function content(holder) {
  const [kind, media] = Object.entries(holder?.content ?? {})[0] ?? [];
  return kind ? element("p", {}, element("code", { text: kind }), " ", element("code", { class: "type" }, type(media.schema))) : null;
}

function operation(path, name, told, shared) {
  const parameters = [...shared, ...(told.parameters ?? [])];
  const answers = Object.entries(told.responses ?? {}).map(([status, answer]) =>
    element("tr", {}, element("td", {}, element("code", { text: status })), element("td", {}, element("span", { text: answer.description ?? "" }), content(answer))));
  return element("section", { class: "operation", id: anchor(name, path) },
    element("h2", {}, method(name), element("span", { class: "path", text: path })),
    element("p", { class: "lead", text: [told.summary, told.description].filter(Boolean).join("\n") }),
    parameters.length ? fields("Parameter", parameters.map((parameter) => ({ ...parameter, where: parameter.in }))) : null,
    told.requestBody ? [element("h3", { text: "Body" }), content(told.requestBody)] : null,
    answers.length ? [element("h3", { text: "Answers" }), element("table", {}, element("tbody", {}, answers))] : null,
    name === "get" ? tryIt(path, parameters) : null);
}

function tryIt(path, parameters) {
  const inputs = parameters.filter(({ in: where }) => where !== "header").map((parameter) => {
    const input = element("input", { name: parameter.name, required: parameter.required, value: parameter.example ?? parameter.schema?.default ?? "", autocomplete: "off", spellcheck: "false" });
    return { parameter, input };
  });
  const answer = element("pre", { hidden: true, tabindex: 0, "aria-live": "polite" });
  const form = element("form", {}, inputs.map(({ parameter, input }) => element("label", {}, element("code", { text: parameter.name }), input)), element("button", { type: "submit", text: `GET ${path}` }), answer);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    let address = path;
    const query = new URLSearchParams();
    for (const { parameter, input } of inputs) {
      if (parameter.in === "path") address = address.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
      else if (input.value) query.set(parameter.name, input.value);
    }
    answer.hidden = false;
    answer.textContent = await ask(query.size ? `${address}?${query}` : address);
  });
  return element("details", {}, element("summary", { text: "Try it" }), form);
}

async function ask(address) {
  try {
    const begun = performance.now();
    const response = await fetchAuthorized(address);
    const kind = response.headers.get("content-type") ?? "";
    const text = /json|text/.test(kind) ? await response.text() : `(${kind || "no content"})`;
    const body = kind.includes("json") ? JSON.stringify(JSON.parse(text), null, 2) : text;
    return `${address}\n${response.status} in ${Math.round(performance.now() - begun)} ms\n\n${body}`;
  } catch (error) {
    return `${address}\nNo answer: ${error.message}`;
  }
}

function schemaTable(name, schema) {
  const rows = properties(schema);
  return element("section", { class: "schema", id: anchor("schema", name) }, element("h2", { text: name }), schema.description ? element("p", { class: "lead", text: schema.description }) : null,
    rows.length ? fields("Field", rows) : element("p", {}, element("code", { class: "type" }, type(schema))));
}

function draw(api) {
  const operations = Object.entries(api.paths ?? {}).flatMap(([path, item]) => METHODS.filter((name) => item[name]).map((name) => ({ path, name, told: item[name], shared: item.parameters ?? [] })));
  const schemas = Object.entries(api.components?.schemas ?? {});
  index.replaceChildren(element("h2", { text: "Requests" }), ...operations.map(({ path, name }) => element("a", { href: `#${anchor(name, path)}` }, method(name), path)),
    element("h2", { text: "Schemas" }), ...schemas.map(([name]) => element("a", { href: `#${anchor("schema", name)}`, text: name })));
  reference.replaceChildren(element("h1", { text: `${api.info?.title ?? "API"} ${api.info?.version ?? ""}` }), element("p", { class: "lead", text: api.info?.description ?? "" }),
    ...operations.map(({ path, name, told, shared }) => operation(path, name, told, shared)), ...(schemas.length ? [element("h2", { text: "Schemas" })] : []), ...schemas.map(([name, schema]) => schemaTable(name, schema)));
  document.getElementById(location.hash.slice(1))?.scrollIntoView();
}

try {
  draw(await (await fetch("/openapi.json")).json());
} catch (error) {
  reference.replaceChildren(element("h1", { text: "The API cannot be read" }), element("p", { class: "lead", text: `/openapi.json: ${error.message}. Is the server running? Then reload this page.` }));
}
