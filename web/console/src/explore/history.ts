/** The last questions that were asked in this browser, the latest first. */

import { useSyncExternalStore } from "react";

const KEY = "hopline.questions";
const MOST = 30;

const watchers = new Set<() => void>();

/** Kept as it was read, so that nothing is drawn anew where nothing has changed. */
let known: { stored: string | null; questions: string[] } = { stored: null, questions: [] };

export function recentQuestions(): string[] {
	let stored: string | null = null;
	try {
		stored = localStorage.getItem(KEY);
	} catch {
		// A browser that keeps nothing for pages remembers no questions.
	}
	if (stored !== known.stored) known = { stored, questions: read(stored) };
	return known.questions;
}

/** Remembers a question as the latest. */
export function rememberQuestion(question: string): void {
	const others = recentQuestions().filter((other) => other !== question);
	store([question, ...others].slice(0, MOST));
}

export function forgetQuestions(): void {
	store([]);
}

export function useRecentQuestions(): string[] {
	return useSyncExternalStore(watch, recentQuestions);
}

function watch(watcher: () => void): () => void {
	watchers.add(watcher);
	addEventListener("storage", watcher);
	return () => {
		watchers.delete(watcher);
		removeEventListener("storage", watcher);
	};
}

function store(questions: string[]): void {
	try {
		localStorage.setItem(KEY, JSON.stringify(questions));
	} catch {
		// It may be full, or not allowed: questions can be asked all the same.
	}
	for (const watcher of watchers) watcher();
}

function read(stored: string | null): string[] {
	try {
		const questions: unknown = JSON.parse(stored ?? "[]");
		return Array.isArray(questions)
			? questions.filter((question) => typeof question === "string").slice(0, MOST)
			: [];
	} catch {
		return [];
	}
}
