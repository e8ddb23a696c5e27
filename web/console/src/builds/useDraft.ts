/** Text that is being typed: shown at once, handed on once the typing rests, taken over when it is changed elsewhere. */
import { useEffect, useRef, useState } from "react";

const RESTS_MS = 200;

export function useDraft(
	value: string,
	handOn: (value: string) => void,
): [draft: string, setDraft: (draft: string) => void] {
	const [draft, setDraft] = useState(value);
	const [known, setKnown] = useState(value);
	const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
	useEffect(() => () => clearTimeout(timer.current), []);

	if (value !== known) {
		setKnown(value);
		setDraft(value);
	}
	return [
		draft,
		(draft) => {
			setDraft(draft);
			clearTimeout(timer.current);
			timer.current = setTimeout(() => {
				setKnown(draft);
				handOn(draft);
			}, RESTS_MS);
		},
	];
}
