// Runs bench/main.ts: Node 20 reads no TypeScript by itself.
import { runnerImport } from "vite";

const { module } = await runnerImport("./bench/main.ts", { root: import.meta.dirname });
await module.main();
