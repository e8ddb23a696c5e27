/** Sending the form: the project is made first if it is new, then the build is asked for, then its page is shown. */
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { hasCode, send } from "../../api/client";
import type { BuildStarted, Project } from "../../api/types";
import { requestOf, type StartForm } from "./form";

interface Options {
	/** A project was made, whatever becomes of the build: it must not be made a second time. */
	onProject(project: Project): void;
	onStarted(): void;
}

export function useStartBuild({ onProject, onStarted }: Options) {
	const queryClient = useQueryClient();
	const navigate = useNavigate();
	return useMutation({
		async mutationFn(form: StartForm) {
			let { projectId } = form;
			if (!projectId) {
				const project = await send<Project>("POST", "api/projects", {
					name: form.projectName.trim(),
				});
				queryClient.invalidateQueries({ queryKey: ["projects"] });
				onProject(project);
				projectId = project.id;
			}
			return send<BuildStarted>("POST", `api/projects/${projectId}/build`, requestOf(form));
		},
		onSuccess({ sessionId }) {
			queryClient.invalidateQueries({ queryKey: ["builds"] });
			onStarted();
			return navigate({ to: "/builds/$sessionId", params: { sessionId } });
		},
	});
}

/** What to do about a build that was refused, where there is more to say than the server's words. */
export function adviceOn(error: unknown): string | undefined {
	if (hasCode(error, "build_running")) {
		return "The project has a build that still runs. Wait for it or cancel it, then start this one.";
	}
	if (hasCode(error, "choose_runner")) return "Several runners are linked. Choose one above.";
	if (hasCode(error, "runner_unavailable")) {
		return "No runner is linked that could run it. Start one with `hopline runner`, or choose another.";
	}
	return undefined;
}
