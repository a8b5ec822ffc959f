// A specifier of its own instead of one in deno.json: what stands there is fetched for the programs too.
export { default } from "npm:fast-check@4.10.2";
export * from "npm:fast-check@4.10.2";
