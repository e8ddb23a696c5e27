/** What a page may say about how its spans are sent. */

/** As much of `@sentry/browser` as is used; the module itself fits. */
export interface SentryLike {
	getClient(): SentryClient | undefined;
}

/** As much of a Sentry client as is used. */
export interface SentryClient {
	captureEvent(event: object): unknown;
	getOptions?(): { readonly tracesSampleRate?: unknown; readonly tracesSampler?: unknown };
}

export interface TracingOptions {
	/**
	 * Where spans go: to Sentry, to OpenTelemetry's global tracer provider, or straight to Hopline. Unless it is said, to the
	 * first of these that the page has; to its Sentry if that is set up for tracing.
	 */
	readonly to?: "sentry" | "opentelemetry" | "hopline";
	/** The page's Sentry, if it is not to be looked for. */
	readonly sentry?: SentryLike;
	/** Hopline's intake of spans (OTLP/HTTP); `v1/traces` beside the address of live updates unless it is said. */
	readonly url?: string | URL;
	/** An ingest key, for pages that have no cookie of Hopline's. */
	readonly key?: string;
	/** The page's `service.name`; `hopline-browser` unless it is said. */
	readonly service?: string;
	/** The component that shows the build, by which its paints are named; `Build` unless it is said. */
	readonly component?: string;
}
