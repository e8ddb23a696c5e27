import { describe, expect, test } from "vitest";
import { parse } from "./parse";
import { sqlCondition } from "./sql";

const NOW = Date.parse("2026-01-31T10:00:00Z");

const sql = (text: string) => {
	const question = parse(text);
	return question && sqlCondition(question, NOW);
};

describe("a question's spans in SQL", () => {
	test.each([
		["spans", "record is null"],
		["spans where op:db.query", "op = 'db.query' and record is null"],
		["spans where span.op:a", "op = 'a' and record is null"],
		["spans where op!:a", "(op = 'a') is not true and record is null"],
		["spans where op:[a, b]", "(op = 'a' or op = 'b') and record is null"],
		[
			"spans where a:b or c:d",
			"(attributes['a'] = 'b' or attributes['c'] = 'd') and record is null",
		],
		["spans where has:error.type", "error_type is not null and record is null"],
		["spans where status:ok", "(status is null or status = 'ok') and record is null"],
		["spans where status:unset", "status is null and record is null"],
		["spans where duration>500ms", "duration_ns > 500000000 and record is null"],
		["spans where duration>=2.5", "duration_ns >= 2500000 and record is null"],
		["spans where retries>3", "try_cast(attributes['retries'] as double) > 3 and record is null"],
		["spans where event.seq:7", "event_seq = 7 and record is null"],
		["spans where record:log", "record = 'log'"],
		[
			'spans where start>"2026-01-31T09:30:00Z"',
			"start > timestamp '2026-01-31T09:30:00Z' and record is null",
		],
	])("%s", (text, said) => {
		expect(sql(text)).toBe(said);
	});

	test("stars stand for any text, and what stands for any text in SQL for itself", () => {
		expect(sql("spans where name:a_*b%")).toBe(
			"name like 'a\\_%b\\%' escape '\\' and record is null",
		);
		expect(sql("spans where name:a\\*b")).toBe("name = 'a*b' and record is null");
	});

	test("quotes in values and in names of attributes end no text", () => {
		expect(sql(`spans where "it's":"' or 1=1 --"`)).toBe(
			"attributes['it''s'] = ''' or 1=1 --' and record is null",
		);
	});

	test("the time is told from the moment of asking", () => {
		expect(sql("spans since 90m")).toBe(
			"start >= timestamp '2026-01-31T08:30:00.000Z' and record is null",
		);
		expect(sql("spans from 2026-01-31 to 2026-01-31T09:30+01:00")).toBe(
			"start >= timestamp '2026-01-31T00:00:00.000Z' and start < timestamp '2026-01-31T08:30:00.000Z' and record is null",
		);
	});

	test("transactions are the first spans of a process's part of a trace", () => {
		expect(sql("avg(transaction.duration)")).toContain("kind in ('server', 'consumer')");
	});

	test("an attribute with a column of numbers is looked for among the others too", () => {
		expect(sql("spans where hopline.queue.wait_ms>1s")).toBe(
			"coalesce(cast(queue_wait_ms as double), try_cast(attributes['hopline.queue.wait_ms'] as double)) > 1000 and record is null",
		);
	});

	test("what cannot be compared is not said", () => {
		expect(sql("spans where duration>long")).toBeUndefined();
		expect(sql("spans where op>5")).toBeUndefined();
		expect(sql("spans since long")).toBeUndefined();
	});
});
