/** Signing in with the admin secret. A one-time link is redeemed by the server itself and does not come by here. */
import { useQueryClient } from "@tanstack/react-query";
import { useRouter, useSearch } from "@tanstack/react-router";
import { type FormEvent, useRef, useState } from "react";
import { apiUrl } from "../../api/client";
import { Button, ErrorNote, TextField, useTitle } from "../../ui";
import { Hop } from "../shell/Wordmark";
import type { Reason } from "./search";
import styles from "./signin.module.css";
import { useSignIn } from "./useSignIn";

const REASONS: Record<Reason, string> = {
	ended: "Your sign-in has ended. Sign in again to go on where you were.",
	link_used: "This link was used before or has expired. Sign in with the secret instead.",
};

export function Page() {
	useTitle("Sign in");
	const { to, reason } = useSearch({ from: "/signin" });
	return (
		<main className={styles.page}>
			<div className={styles.card}>
				<header className={styles.head}>
					<Hop size={36} />
					<h1>Sign in to Hopline</h1>
				</header>
				{reason && <p className={styles.reason}>{REASONS[reason]}</p>}
				<SecretForm to={to ?? "/"} />
			</div>
		</main>
	);
}

function SecretForm({ to }: { to: string }) {
	const [secret, setSecret] = useState("");
	const field = useRef<HTMLElement>(null);
	const goOn = useGoOn();
	const { signIn, isPending, problem, secondsToWait } = useSignIn(() => goOn(to));

	async function submit(event: FormEvent) {
		event.preventDefault();
		if (secret === "" || secondsToWait > 0) return field.current?.focus();
		await signIn(secret.trim());
		field.current?.focus();
	}

	return (
		<form className={styles.form} onSubmit={submit}>
			<TextField
				ref={field}
				label="Admin secret"
				type="password"
				autoComplete="current-password"
				autoFocus
				mono
				value={secret}
				onChange={setSecret}
				error={problem?.kind === "wrong" ? "This is not the admin secret." : undefined}
				hint={
					<>
						It is in the file <code>secrets</code> of the data folder. <code>hopline up</code> also
						prints a link that signs one browser in.
					</>
				}
			/>
			{problem?.kind === "other" && <ErrorNote title={problem.title}>{problem.advice}</ErrorNote>}
			{secondsToWait > 0 && (
				<p className={styles.wait} role="status">
					Too many wrong secrets. You can try again in {secondsToWait} s.
				</p>
			)}
			<Button type="submit" variant="primary" busy={isPending} disabled={secondsToWait > 0}>
				Sign in
			</Button>
		</form>
	);
}

/** Leads on to a place in the console, with nothing left of what was read before. */
function useGoOn(): (to: string) => void {
	const router = useRouter();
	const queryClient = useQueryClient();
	return (to) => {
		queryClient.clear();
		const { pathname, search, hash } = new URL(apiUrl(to));
		router.history.replace(pathname + search + hash);
	};
}
