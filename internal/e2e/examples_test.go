package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
)

// startExample starts a program of the examples, as its reader would, and returns its
// URL. It is stopped when the test ends, and must end without an error.
func startExample(t *testing.T, name string, args ...string) (url string) {
	t.Helper()
	folder, err := filepath.Abs(filepath.Join("../../examples", name))
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(t.TempDir(), name)
	if err := build(folder, program); err != nil {
		t.Fatal(err)
	}
	addr := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	cmd := exec.Command(program, append([]string{"-addr", addr}, args...)...)
	var output bytes.Buffer
	cmd.Stderr = &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(syscall.SIGTERM)
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, output.Bytes())
		}
	})
	eventually(t, patience, func() string {
		response, err := http.Get("http://" + addr)
		if err != nil {
			return err.Error()
		}
		response.Body.Close()
		return ""
	})
	return "http://" + addr
}

// An answer of a model is the same in the tab that asks, in another one that joins
// late, and in a third that comes at the end; one of them is reloaded, and one stops it.
func TestExampleLLM(t *testing.T) {
	needChromium(t)
	b := startBroker(t, 1)
	for _, tt := range []struct {
		name string
		args []string
		urls int
	}{
		{"one process", nil, 1},
		{"two processes", []string{"-nats", b.connect(t, 0).ConnectedUrl()}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var urls []string
			for range tt.urls {
				urls = append(urls, startExample(t, "llm", tt.args...))
			}
			other := urls[len(urls)-1]
			asking := open(t, urls[0]+"/")
			asking.do(`document.querySelector('[name=prompt]').value = Array.from({length: 1000}, (_, i) => i).join(' ')
				setTimeout(() => document.forms[0].submit())`)
			const shown = `(document.getElementById('answer')?.textContent ?? '')`
			asking.await(soon, `location.pathname !== '/' && `+shown+`.startsWith('0 1 2 3 4 ')`)
			path := eval[string](asking, `location.pathname`)
			joining := open(t, other+path)
			joining.await(soon, shown+`.startsWith('0 1 2 3 4 5 6 7 8 ')`)
			joining.visit(other + path)
			joining.await(soon, shown+`.startsWith('0 1 2 3 4 5 6 7 8 9 10 ')`)
			asking.do(`document.getElementById('stop').click()`)
			late := open(t, other+path)
			for _, tab := range []*tab{asking, joining, late} {
				tab.await(10*time.Second, `document.getElementById('end').textContent === 'stopped'`)
			}
			want := eval[string](asking, shown)
			exact := shown + ` === Array.from({length: ` + shown + `.trim().split(' ').length}, (_, i) => i + ' ').join('')`
			for _, tab := range []*tab{joining, late} {
				if got := eval[string](tab, shown); got != want || !eval[bool](tab, exact) {
					t.Errorf("%s shows %q, the tab that asked %q", tab.name, got, want)
				}
			}
		})
	}
}

// A job's page that is opened when the job is over shows what the one shows that has
// watched it.
func TestExampleProgress(t *testing.T) {
	needChromium(t)
	url := startExample(t, "progress")
	watching := open(t, url+"/")
	watching.do(`setTimeout(() => document.forms[0].submit())`)
	watching.await(soon, `location.pathname !== '/' && document.querySelector('progress')?.value > 10`)
	watching.await(patience, `document.getElementById('end').textContent === 'done'`)
	late := open(t, url+eval[string](watching, `location.pathname`))
	late.await(soon, `document.getElementById('end').textContent === 'done'`)
	for _, tab := range []*tab{watching, late} {
		const lines = `document.querySelectorAll('progress[value="100"]').length && document.getElementById('lines').textContent.trim().split('\n').length`
		if n := eval[int](tab, lines); n != 50 {
			t.Errorf("%s shows %d lines, want 50", tab.name, n)
		}
	}
}

// Three tabs of a user show the same notifications, whichever of them has changed something,
// until the user logs out in one of them.
func TestExampleNotifications(t *testing.T) {
	needChromium(t)
	url := startExample(t, "notifications") + "/"
	first := open(t, url, chromedp.WithNewBrowserContext()) // with cookies of its own
	first.await(soon, `!document.getElementById('login').hidden`)
	first.do(`document.querySelector('[name=user]').value = 'ann'; document.getElementById('login').requestSubmit()`)
	first.await(soon, `document.getElementById('inbox')?.hidden === false`)
	tabs := []*tab{first, openBeside(t, first, url), openBeside(t, first, url)}
	const list = `[...document.querySelectorAll('#notes li')].map(li => li.firstChild.data.trim()).join()`
	for _, tab := range tabs {
		tab.await(soon, `document.getElementById('inbox')?.hidden === false`)
	}
	for i, want := range []string{"one", "one,two"} {
		text := []string{"one", "two"}[i]
		first.do(`document.querySelector('[name=to]').value = 'ann'; document.querySelector('[name=text]').value = '` +
			text + `'; document.getElementById('send').requestSubmit()`)
		for _, tab := range tabs {
			tab.await(soon, list+` === '`+want+`'`)
		}
	}
	tabs[1].do(`document.querySelector('#notes button').click()`)
	tabs = append(tabs, openBeside(t, first, url))
	for _, tab := range tabs {
		tab.await(soon, list+` === 'two'`)
		tab.expect("401")
	}
	tabs[2].do(`document.getElementById('logout').click()`)
	for _, tab := range tabs {
		tab.await(10*time.Second, `document.getElementById('inbox').hidden && !document.getElementById('login').hidden`)
	}
}

// Two pages of htmx show one list, which either of them changes.
func TestExampleTodo(t *testing.T) {
	needChromium(t)
	needPackages(t)
	url := startExample(t, "todo", "-scripts", "node_modules")
	tabs := []*tab{open(t, url+"/"), open(t, url+"/")}
	for i, text := range []string{"one", "two"} {
		tabs[i].do(`document.querySelector('[name=text]').value = '` + text + `'; document.querySelector('form').requestSubmit()`)
		for _, tab := range tabs {
			tab.await(soon, `document.getElementById('list').textContent.includes('`+text+`')`)
		}
	}
	tabs[0].do(`document.querySelector('#item-1 button').click()`)
	for _, tab := range tabs {
		tab.await(soon, `document.querySelectorAll('#list li').length === 1 && !!document.getElementById('item-2')`)
	}
}

// Two pages of Datastar show one counter.
func TestExampleDatastar(t *testing.T) {
	needChromium(t)
	needPackages(t)
	url := startExample(t, "datastar", "-scripts", "node_modules")
	tabs := []*tab{open(t, url+"/"), open(t, url+"/")}
	for _, tab := range tabs {
		tab.await(soon, `document.getElementById('count').textContent !== ''`)
	}
	for _, tab := range tabs {
		tab.do(`document.querySelector('button').click()`)
	}
	for _, tab := range tabs {
		tab.await(soon, `document.getElementById('count').textContent === '2'`)
	}
}

// Two pages show one poll, made by templ and swapped by htmx, in which both vote.
func TestExampleTempl(t *testing.T) {
	needChromium(t)
	needPackages(t)
	url := startExample(t, "templ", "-scripts", "node_modules")
	tabs := []*tab{open(t, url+"/"), open(t, url+"/")}
	for i, tab := range tabs {
		tab.await(soon, `document.querySelectorAll('#result button').length === 2`)
		tab.do(fmt.Sprintf(`document.querySelector('#option-%d button').click()`, i))
	}
	for _, tab := range append(tabs, open(t, url+"/")) {
		tab.await(soon, `[...document.querySelectorAll('#result output')].map(o => o.textContent).join() === '1,1'`)
	}
}

// Four users see the same orders, each in a view of their own, also in a page that is opened
// late.
func TestExampleRoles(t *testing.T) {
	needChromium(t)
	url := startExample(t, "roles")
	ann := open(t, url+"/?user=ann")
	ann.do(`document.querySelector('[name=dish]').value = 'soup'; document.getElementById('form').requestSubmit()`)
	const shown = `[...document.querySelectorAll('#orders li')].map(li => li.textContent).join()`
	ann.await(soon, shown+` === 'ann soup 12'`)
	pages := map[*tab][2]string{ann: {"ann soup 12", "ann soup 12"}}
	pages[open(t, url+"/?user=olga")] = [2]string{"ann soup 12", "ann soup 12,bob fish 12"}
	pages[open(t, url+"/?user=carl")] = [2]string{"soup", "soup,fish"}
	for tab, want := range pages {
		tab.await(soon, shown+` === '`+want[0]+`'`)
	}
	bob := open(t, url+"/?user=bob")
	bob.do(`document.querySelector('[name=dish]').value = 'fish'; document.getElementById('form').requestSubmit()`)
	pages[bob] = [2]string{"", "bob fish 12"}
	for tab, want := range pages {
		tab.await(soon, shown+` === '`+want[1]+`'`)
	}
}

// A dashboard's page shows numbers and a line for each, which change; a page that is opened
// later changes the number of streams in both, and that which Prometheus gets.
func TestExampleDashboard(t *testing.T) {
	needChromium(t)
	url := startExample(t, "dashboard")
	tabs := []*tab{open(t, url+"/")}
	tabs[0].await(soon, `document.querySelector('#streams output').textContent === '1'`)
	tabs = append(tabs, open(t, url+"/"))
	for _, tab := range tabs {
		tab.await(soon, `document.querySelector('#streams output').textContent === '2'`)
		tab.await(soon, `[...document.querySelectorAll('polyline')].every(p => p.points.length > 1)`)
		if got := eval[int](tab, `document.querySelectorAll('output').length`); got != 5 {
			t.Errorf("%s shows %d numbers, want 5", tab.name, got)
		}
	}
	response, err := http.Get(url + "/metrics") //nolint:noctx // on loopback
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if want := `sse_streams{kind="detached"} 2`; err != nil || !strings.Contains(string(body), want) {
		t.Errorf("no %s in\n%s, error %v", want, body, err)
	}
}
