// The types of the module that a presence.Tracker serves.

import { EventSource, EventSourceInit } from '../browser/eventsource.js'

export { EventSource, EventSourceInit }

/** The page's name, which is Session.Page on the server. */
export function id(): string

/** Opens a stream of the page's session. */
export function connect(url: string | URL, init?: EventSourceInit): EventSource

/** Sends a form with the page's token, as the handlers of package locks expect it. */
export function post(url: string | URL, fields?: Record<string, string>): Promise<Response>

/** Sets the data of the page's session, in JSON. Of several calls within 100 ms the last one counts. */
export function update(data: unknown): Promise<void>

/** Ends the session, and closes the streams that connect has opened. */
export function leave(): void
