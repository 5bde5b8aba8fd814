// The stream is closed while the page is hidden, as on the other two pages: over HTTP/1.1 a
// browser opens six connections to a server, for all of its tabs.
import { connect } from '/page.js'

htmx.createEventSource = url => connect(url, { openWhenHidden: false })
