/** One span, whole, as `GET /api/traces/{id}/spans/{id}` tells it: OTLP in JSON. And its attributes as one can read them. */

export type AnyValue =
	| { stringValue: string }
	| { boolValue: boolean }
	| { intValue: string | number }
	| { doubleValue: number | string }
	| { bytesValue: string }
	| { arrayValue: { values?: AnyValue[] } }
	| { kvlistValue: { values?: KeyValue[] } }
	| Record<string, never>;

export interface KeyValue {
	key: string;
	value?: AnyValue;
}

export interface SpanEvent {
	timeUnixNano: string;
	name: string;
	attributes?: KeyValue[];
}

export interface SpanLink {
	traceId: string;
	spanId: string;
	attributes?: KeyValue[];
}

export interface WholeSpan {
	span: {
		traceId: string;
		spanId: string;
		parentSpanId?: string;
		name: string;
		startTimeUnixNano: string;
		endTimeUnixNano: string;
		attributes?: KeyValue[];
		events?: SpanEvent[];
		links?: SpanLink[];
		status?: { code?: number; message?: string };
	};
	resource: { attributes?: KeyValue[] };
	scope?: { name?: string; version?: string };
}

/** A value as JSON would write it: whole numbers beyond 53 bits and what JSON cannot say stay texts. */
export function plainValue(value: AnyValue | undefined): unknown {
	if (value === undefined) return null;
	if ("stringValue" in value) return value.stringValue;
	if ("boolValue" in value) return value.boolValue;
	if ("intValue" in value) {
		const number = Number(value.intValue);
		return Number.isSafeInteger(number) ? number : String(value.intValue);
	}
	if ("doubleValue" in value) return value.doubleValue;
	if ("bytesValue" in value) return value.bytesValue;
	if ("arrayValue" in value) return (value.arrayValue?.values ?? []).map(plainValue);
	if ("kvlistValue" in value) {
		const entries = value.kvlistValue?.values ?? [];
		return Object.fromEntries(entries.map(({ key, value }) => [key, plainValue(value)]));
	}
	return null;
}

/** A JSON text longer than this is shown as it is. */
const LONGEST_PRETTY = 100_000;

/** A value as text; what is JSON, by its type or inside of a text, on lines of its own. */
export function valueText(value: AnyValue | undefined): string {
	const plain = plainValue(value);
	if (typeof plain === "string") return prettyJson(plain) ?? plain;
	if (typeof plain !== "object" || plain === null) return String(plain);
	const flat = Array.isArray(plain) && plain.every((it) => typeof it !== "object");
	return JSON.stringify(plain, null, flat ? undefined : 2);
}

function prettyJson(text: string): string | undefined {
	if (!/^\s*[[{]/.test(text) || text.length > LONGEST_PRETTY) return undefined;
	try {
		return JSON.stringify(JSON.parse(text), null, 2);
	} catch {
		return undefined;
	}
}

/** The text of an attribute, if it is there. */
export function attributeText(
	attributes: readonly KeyValue[] | undefined,
	key: string,
): string | undefined {
	const found = attributes?.find((attribute) => attribute.key === key);
	return found && valueText(found.value);
}

export interface AttributeGroup {
	/** What their keys have in common before the first dot; empty for keys without one. */
	readonly prefix: string;
	readonly attributes: readonly KeyValue[];
}

/** By what stands before the first dot; within a group by key. What says most about a hop comes first. */
const FIRST = ["event", "hopline", "error", "gen_ai", "process", "db", "http", "messaging"];

export function groupAttributes(attributes: readonly KeyValue[]): AttributeGroup[] {
	const groups = new Map<string, KeyValue[]>();
	for (const attribute of attributes) {
		const dot = attribute.key.indexOf(".");
		const prefix = dot > 0 ? attribute.key.slice(0, dot) : "";
		const group = groups.get(prefix);
		if (group) group.push(attribute);
		else groups.set(prefix, [attribute]);
	}
	const rank = (prefix: string) => {
		if (prefix === "") return FIRST.length + 1;
		const at = FIRST.indexOf(prefix);
		return at < 0 ? FIRST.length : at;
	};
	return [...groups]
		.map(([prefix, attributes]) => ({
			prefix,
			attributes: attributes.sort((a, b) => (a.key < b.key ? -1 : 1)),
		}))
		.sort((a, b) => rank(a.prefix) - rank(b.prefix) || (a.prefix < b.prefix ? -1 : 1));
}

/** Attributes whose key or value has every word. */
export function findAttributes(attributes: readonly KeyValue[], query: string): KeyValue[] {
	const words = query.toLowerCase().split(/\s+/).filter(Boolean);
	return attributes.filter(({ key, value }) => {
		const text = `${key} ${valueText(value)}`.toLowerCase();
		return words.every((word) => text.includes(word));
	});
}
