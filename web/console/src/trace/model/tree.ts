/**
 * The tree of a trace, as arrays: who is whose child, in which order rows are read, how deep they stand.
 *
 * Any list of parents makes a tree here. A parent out of range counts as none; where parents run in a circle, the circle is
 * cut at its earliest span, which becomes a root. Nothing recurses, so a chain of 100,000 spans is as good as any.
 */

export interface Tree {
	/** Row of the parent, or -1 for a root. */
	readonly parent: Int32Array;
	/** 1 for rows that became roots because their parents ran in a circle. */
	readonly broken: Uint8Array;
	/**
	 * Children of row `r` are `children[childrenFrom[r + 1]]` up to, without it, `children[childrenFrom[r + 2]]`; the roots
	 * are those of row -1. Each list is in the order of rows, which is by start.
	 */
	readonly childrenFrom: Int32Array;
	readonly children: Int32Array;
	/** Rows in the order in which the open tree is read, and the place of each row in it. */
	readonly order: Int32Array;
	readonly place: Int32Array;
	/** 0 for roots. */
	readonly depth: Int32Array;
	/** How many spans the subtree has, with its root. A subtree is `order[place]` up to `order[place + size]`. */
	readonly size: Int32Array;
}

export function buildTree(parents: ArrayLike<number>): Tree {
	const { parent, broken } = soundParents(parents);
	const { childrenFrom, children } = listChildren(parent);
	const count = parent.length;
	const order = new Int32Array(count);
	const place = new Int32Array(count);
	const depth = new Int32Array(count);
	const stack = new Int32Array(count);
	let top = 0;
	const pushChildren = (row: number) => {
		const first = childrenFrom[row + 1] as number;
		for (let at = (childrenFrom[row + 2] as number) - 1; at >= first; at--) {
			stack[top++] = children[at] as number;
		}
	};
	pushChildren(-1);
	for (let at = 0; at < count; at++) {
		const row = stack[--top] as number;
		const above = parent[row] as number;
		order[at] = row;
		place[row] = at;
		depth[row] = above < 0 ? 0 : (depth[above] as number) + 1;
		pushChildren(row);
	}
	const size = new Int32Array(count).fill(1);
	for (let at = count - 1; at >= 0; at--) {
		const row = order[at] as number;
		const above = parent[row] as number;
		if (above >= 0) size[above] = (size[above] as number) + (size[row] as number);
	}
	return { parent, broken, childrenFrom, children, order, place, depth, size };
}

/** Copies the parents, with those out of range taken away and every circle cut once. */
function soundParents(parents: ArrayLike<number>): { parent: Int32Array; broken: Uint8Array } {
	const count = parents.length;
	const parent = new Int32Array(count);
	for (let row = 0; row < count; row++) {
		const above = parents[row] as number;
		parent[row] = above >= 0 && above < count ? above : -1;
	}
	const broken = new Uint8Array(count);
	// 0: not seen; otherwise the walk that came by, so that a walk that meets itself has found a circle.
	const walk = new Int32Array(count);
	for (let row = 0; row < count; row++) {
		let at = row;
		while (at >= 0 && walk[at] === 0) {
			walk[at] = row + 1;
			at = parent[at] as number;
		}
		if (at < 0 || walk[at] !== row + 1) continue;
		let earliest = at;
		for (let next = parent[at] as number; next !== at; next = parent[next] as number) {
			earliest = Math.min(earliest, next);
		}
		parent[earliest] = -1;
		broken[earliest] = 1;
	}
	return { parent, broken };
}

/** Counts, then fills: each list comes out in the order of rows. */
function listChildren(parent: Int32Array): { childrenFrom: Int32Array; children: Int32Array } {
	const count = parent.length;
	const childrenFrom = new Int32Array(count + 2);
	for (let row = 0; row < count; row++) {
		const slot = (parent[row] as number) + 2;
		childrenFrom[slot] = (childrenFrom[slot] as number) + 1;
	}
	for (let slot = 1; slot < count + 2; slot++) {
		childrenFrom[slot] = (childrenFrom[slot] as number) + (childrenFrom[slot - 1] as number);
	}
	const next = childrenFrom.slice(0, count + 1);
	const children = new Int32Array(count);
	for (let row = 0; row < count; row++) {
		const list = (parent[row] as number) + 1;
		const at = next[list] as number;
		children[at] = row;
		next[list] = at + 1;
	}
	return { childrenFrom, children };
}
