/**
 * Writes every built file a second and third time, as `.br` and `.gz`, so that the server can hand them out as they are.
 *
 * A file that does not get smaller gets no such copy: the server then serves the original.
 */
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { brotliCompress, constants, gzip } from "node:zlib";
import type { Plugin } from "vite";

const COMPRESSIBLE = /\.(html|js|css|svg|json|txt)$/;
/** Below this a compressed copy saves nothing that a packet would notice. */
const SMALLEST = 256;

const brotli = promisify(brotliCompress);
const deflate = promisify(gzip);

export function precompress(): Plugin {
	let folder = "dist";
	return {
		name: "hopline-precompress",
		apply: "build",
		configResolved(config) {
			folder = resolve(config.root, config.build.outDir);
		},
		async closeBundle() {
			for (const name of await readdir(folder, { recursive: true })) {
				if (COMPRESSIBLE.test(name)) await compress(join(folder, name));
			}
		},
	};
}

async function compress(path: string): Promise<void> {
	const content = await readFile(path);
	if (content.length < SMALLEST) return;
	const small = await brotli(content, {
		params: {
			[constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
			[constants.BROTLI_PARAM_SIZE_HINT]: content.length,
		},
	});
	const zipped = await deflate(content, { level: constants.Z_BEST_COMPRESSION });
	if (small.length < content.length) await writeFile(`${path}.br`, small);
	if (zipped.length < content.length) await writeFile(`${path}.gz`, zipped);
}
