/** A trace for other pages: reading it, and its waterfall. */
export { Missing } from "./header/Missing";
export { TraceModel } from "./model/model";
export { type TraceState, type UseTraceOptions, useTrace } from "./useTrace";
export { Waterfall, type WaterfallProps } from "./view/Waterfall";
