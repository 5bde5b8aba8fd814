package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// typedPage uses all that the modules export, as their types say.
const typedPage = `import { EventSource, connect, id, leave, post, update } from '%[1]s/presence/page.js'
import { EventSource as Plain, type StreamErrorEvent } from '%[1]s/browser/eventsource.js'

const source: EventSource = connect('/events', {
	withCredentials: true, heartbeat: 0, openWhenHidden: false,
	async beforeRequest(url, headers) { url.searchParams.set('a', 'b'); headers.set('A', 'b') },
})
source.onmessage = event => console.log(event.data.length, event.lastEventId)
source.addEventListener('price', event => console.log(event.data.length))
source.addEventListener('error', (event: StreamErrorEvent) => console.log(event.status.toFixed(), event.error))
source.reconnect()
const browsers: globalThis.EventSource['readyState'] = source.readyState
new Plain(new URL('/events', location.href)).close()
const name: string = id()
const response: Response = await post('/locks/7', { action: 'take' })
await update({ typing: true })
leave()
console.log(browsers === Plain.CLOSED, name, response.status)
// @ts-expect-error: a number
connect('/events', { heartbeat: '30' })
export {}
`

// The types of the modules are what a page needs, and what the modules export.
func TestModuleTypes(t *testing.T) {
	needPackages(t)
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	page := filepath.Join(t.TempDir(), "page.ts")
	if err := os.WriteFile(page, fmt.Appendf(nil, typedPage, filepath.ToSlash(root)), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), filepath.Join("node_modules", ".bin", "tsc"), "--noEmit", "--strict", "--ignoreConfig",
		"--target", "es2022", "--module", "es2022", "--moduleResolution", "bundler", "--lib", "es2022,dom,dom.iterable", "--types", "", page).CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
