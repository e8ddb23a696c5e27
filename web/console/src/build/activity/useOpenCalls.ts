/** Which tool calls are open: those that the reader opened, and those that failed unless the reader closed them. */
import { useCallback, useState } from "react";

interface OpenCalls {
	areAllOpen: boolean;
	setAllOpen(areAllOpen: boolean): void;
	/** Whether a call is open; `byItself` if the reader has said nothing of it. */
	isOpen(callId: string, byItself: boolean): boolean;
	setOpen(callId: string, isOpen: boolean): void;
}

interface Open {
	readonly all: boolean;
	/** What was said of single calls since all were opened or closed. */
	readonly own: ReadonlyMap<string, boolean>;
}

export function useOpenCalls(): OpenCalls {
	const [{ all, own }, set] = useState<Open>({ all: false, own: new Map() });
	const setOpen = useCallback((callId: string, isOpen: boolean) => {
		set(({ all, own }) => ({ all, own: new Map(own).set(callId, isOpen) }));
	}, []);
	return {
		areAllOpen: all,
		setAllOpen: (all) => set({ all, own: new Map() }),
		isOpen: (callId, byItself) => own.get(callId) ?? (all || byItself),
		setOpen,
	};
}
