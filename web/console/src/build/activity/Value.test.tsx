import { render, screen } from "@testing-library/react";
import { expect, test } from "vitest";
import { UiProvider } from "../../ui";
import { Value } from "./Value";

function show(value: unknown) {
	return render(
		<UiProvider>
			<Value value={value} label="Output of Bash" />
		</UiProvider>,
	).container;
}

test("markup in an output is text", () => {
	const page = show({
		stdout: "<img src=x onerror=alert(1)>\n<b>bold</b>",
		"<i>key</i>": "<script>1</script>",
	});
	expect(page.querySelector("img, b, i, script")).toBeNull();
	expect(page.textContent).toContain("<img src=x onerror=alert(1)>");
	expect(page.textContent).toContain("<i>key</i>");
});

test("an object is read by its fields, texts in it as they are and with their colours", () => {
	const page = show({ exitCode: 0, stdout: "\u001b[31mred\u001b[0m\nplain\n", nested: { a: [1] } });
	expect([...page.querySelectorAll("dt")].map((name) => name.textContent)).toEqual([
		"exitCode",
		"stdout",
		"nested",
	]);
	expect(screen.getByText("red").tagName).toBe("SPAN");
	expect(page.textContent).not.toContain("\u001b");
});

test("JSON in a text is read as JSON, and what only looks like it stays as it is", () => {
	expect(show('{"a": "b"}').querySelector("dt")?.textContent).toBe("a");
	expect(show("{not json").textContent).toBe("{not json");
	expect(show("[1,2]").textContent).toBe("[\n  1,\n  2\n]");
	expect(show("").textContent).toBe("empty");
});
