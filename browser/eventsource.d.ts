// The types of the module that package browser serves.

export interface EventSourceInit {
  /** Sends cookies to other origins. */
  withCredentials?: boolean
  /** Is called before each request, and may change its URL and headers. The request waits for it. */
  beforeRequest?: (url: URL, headers: Headers) => void | Promise<void>
  /** The server's KeepAlive in milliseconds, 30000 by default. 0: it sends no comments. */
  heartbeat?: number
  /** Whether the stream is open while the page is hidden. True by default. */
  openWhenHidden?: boolean
}

/** Is fired when there is no stream. It is opened again, unless readyState is CLOSED. */
export interface StreamErrorEvent extends Event {
  /** The status of the response, or 0 if there was none. */
  readonly status: number
  /** What fetch has failed with, if it has. */
  readonly error?: unknown
}

export interface EventSourceEventMap {
  open: Event
  message: MessageEvent<string>
  error: StreamErrorEvent
}

/** The browser's EventSource, which reconnects after every failure. */
export class EventSource extends EventTarget {
  static readonly CONNECTING: 0
  static readonly OPEN: 1
  static readonly CLOSED: 2

  constructor(url: string | URL, init?: EventSourceInit)

  readonly CONNECTING: 0
  readonly OPEN: 1
  readonly CLOSED: 2
  readonly url: string
  readonly withCredentials: boolean
  readonly readyState: 0 | 1 | 2

  onopen: ((this: EventSource, event: Event) => unknown) | null
  onmessage: ((this: EventSource, event: MessageEvent<string>) => unknown) | null
  onerror: ((this: EventSource, event: StreamErrorEvent) => unknown) | null

  close(): void
  /** Opens the stream again, at once. It resumes after the last event. */
  reconnect(): void

  addEventListener<K extends keyof EventSourceEventMap>(type: K, listener: (this: EventSource, event: EventSourceEventMap[K]) => unknown, options?: boolean | AddEventListenerOptions): void
  addEventListener(type: string, listener: (this: EventSource, event: MessageEvent<string>) => unknown, options?: boolean | AddEventListenerOptions): void
  removeEventListener<K extends keyof EventSourceEventMap>(type: K, listener: (this: EventSource, event: EventSourceEventMap[K]) => unknown, options?: boolean | EventListenerOptions): void
  removeEventListener(type: string, listener: (this: EventSource, event: MessageEvent<string>) => unknown, options?: boolean | EventListenerOptions): void
}
