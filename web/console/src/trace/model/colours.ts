/**
 * The hue of each service: one of the eight categorical colours, by the order in which services first appear, so that the
 * way of an event reads as a change of colours. Hopline's own parts always have the same.
 */
import type { TraceModel } from "./model";

const HUES = 8;

/** These stand in every build's trace: a reader learns their colours. */
const OWN: Readonly<Record<string, number>> = {
	"hopline-server": 1,
	"hopline-broker": 2,
	"hopline-runner": 3,
	"hopline-processor": 4,
	"hopline-console": 5,
};

/** For each entry of the model's `services` a hue from 1 to 8. */
export function serviceHues(model: Pick<TraceModel, "services">): Uint8Array {
	const free = Array.from({ length: HUES }, (_, at) => at + 1).filter(
		(hue) => !model.services.some((service) => ownHue(service) === hue),
	);
	let next = 0;
	return Uint8Array.from(model.services, (service) => {
		const own = ownHue(service);
		if (own) return own;
		return free.length > 0 ? (free[next++ % free.length] ?? 1) : (next++ % HUES) + 1;
	});
}

function ownHue(service: string): number | undefined {
	return Object.hasOwn(OWN, service) ? OWN[service] : undefined;
}
