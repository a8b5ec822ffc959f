// A specifier of its own instead of one in deno.json: what stands there is fetched for the programs too.
// @peculiar/x509 needs reflect-metadata loaded first.
import "npm:reflect-metadata@0.2.2";
export * from "npm:@peculiar/x509@2.2.0";
