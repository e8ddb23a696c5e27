/** Ends this browser's sign-in. */
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { send } from "../../api/client";
import { IconButton, SignOutIcon } from "../../ui";
import { forgetSignedIn } from "../signedIn";

export function SignOutButton() {
	const navigate = useNavigate();
	const queryClient = useQueryClient();
	const signOut = useMutation({
		mutationFn: () => send("POST", "signout"),
		onSuccess: async () => {
			forgetSignedIn();
			await navigate({ to: "/signin" });
			// What was read with the old sign-in must not be shown to whoever comes next.
			queryClient.clear();
		},
	});
	return (
		<IconButton
			label="Sign out"
			icon={<SignOutIcon />}
			disabled={signOut.isPending}
			onClick={() => signOut.mutate()}
		/>
	);
}
