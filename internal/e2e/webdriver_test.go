package e2e

import (
	"sync"
	"testing"
)

// A driven is a browser that is driven with the commands of WebDriver, over a protocol of its
// own.
type driven struct {
	name string
	call func(command string, params map[string]any, result any) error

	mu      sync.Mutex // one command at a time
	first   string     // the handle of the tab that is always open
	current string     // the handle of the tab that gets commands
}

// begin begins a session.
func (d *driven) begin() error {
	if err := d.call("NewSession", map[string]any{"capabilities": map[string]any{}}, nil); err != nil {
		return err
	}
	err := d.call("GetWindowHandle", nil, &d.first)
	d.current = d.first
	return err
}

// open opens a page in a tab of its own, in front of the others.
func (d *driven) open(t *testing.T, url string) *tab {
	t.Helper()
	b := &tab{t: t, name: d.name + " " + url, driven: d, handle: d.first}
	var opened struct{ Handle string }
	if err := b.command("NewWindow", map[string]any{"type": "tab", "focus": true}, &opened); err != nil {
		t.Fatal(err)
	}
	b.handle = opened.Handle
	t.Cleanup(func() {
		if !b.closed {
			b.close()
		}
	})
	b.visit(url)
	return b
}

// command sends a command to a tab of a driven browser.
func (b *tab) command(command string, params map[string]any, result any) error {
	d := b.driven
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.current != b.handle {
		if err := d.call("SwitchToWindow", map[string]any{"handle": b.handle, "focus": false}, nil); err != nil {
			return err
		}
		d.current = b.handle
	}
	return d.call(command, params, result)
}

// evalDriven returns the value of an expression.
func evalDriven[T any](b *tab, js string) (v T, err error) {
	err = b.command("ExecuteScript", map[string]any{"script": "return " + js, "args": []any{}, "sandbox": nil}, &v)
	return v, err
}
